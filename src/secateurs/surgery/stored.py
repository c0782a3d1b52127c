"""A safetensors file that anybody may have written, opened within bounds; and one written the same every time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from secateurs.checks import shown
from secateurs.errors import InputError

LONGEST_HEADER = 64 * 2**20
"""Bytes of a header that are read at most; a plan for a network of a hundred layers takes one megabyte."""
_UNREADABLE = (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Stored:
    """An open safetensors file: its metadata, and its tensors, none of which has been read yet."""

    path: Path
    metadata: Mapping[str, str]
    file: Any

    def names(self) -> tuple[str, ...]:
        """The names of its tensors, sorted."""
        return tuple(sorted(self.file.keys()))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, from the header alone."""
        return tuple(self.file.get_slice(name).get_shape())

    def tensor(self, name: str) -> Tensor:
        """A tensor, on the CPU.

        Raises:
            InputError: It is of a type that this release of torch does not know, or cannot be read.
        """
        try:
            found: Tensor = self.file.get_tensor(name)
        except _UNREADABLE as error:
            raise _damaged(self.path, f"{shown(name)}: {error}") from error
        return found


@contextmanager
def opened(path: Path) -> Iterator[Stored]:
    """Open a safetensors file, whose header is measured before it is read.

    Raises:
        InputError: It is truncated, damaged, a pickle, or its header is larger than any network needs.
    """
    try:
        check_header(path)
        file: Any = safe_open(str(path), framework="pt")
        metadata = dict(file.metadata() or {})
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    with file:
        yield Stored(path, metadata, file)


def check_header(path: Path) -> None:
    """Make sure that the header of a safetensors file is no longer than any network needs, before it is read.

    Raises:
        ValueError: It is longer, or longer than the file.
        OSError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "bomb.safetensors"
        >>> _ = path.write_bytes(bytes([255]) * 16)
        >>> check_header(path)
        Traceback (most recent call last):
        ...
        ValueError: its header would be 18,446,744,073,709,551,615 bytes long
    """
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
    if length > min(LONGEST_HEADER, path.stat().st_size):
        raise ValueError(f"its header would be {length:,} bytes long")


def _damaged(path: Path, problem: object) -> InputError:
    return InputError(
        f"{path}: it cannot be read as safetensors ({shown(str(problem), 160)}); it may be truncated or a pickle, "
        "which is never read."
    )


def write_sorted(state: dict[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whose bytes depend on its content alone.

    The library keeps metadata in a map whose order is drawn anew for every file. The header is therefore
    written over with its names sorted; that changes nothing else, as no length changes.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.

    Example:
        >>> import tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> write_sorted({"w": torch.zeros(1)}, path, {"b": "1", "a": "2"})
        >>> path.read_bytes()[8:48]
        b'{"__metadata__":{"a":"2","b":"1"},"w":{"'
    """
    try:
        save_file(state, path, metadata=dict(metadata))
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))  # the library hides what the system said
        raise OSError(int(number[1]) if number else None, str(error), str(path)) from error
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > length:
            raise ValueError(f"a sorted header of {len(text)} bytes does not fit into {length}")
        file.seek(8)
        file.write(text.ljust(length))  # the format pads with spaces
