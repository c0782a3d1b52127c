"""Features kept on disk: made once for the same sound and the same settings."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from secateurs.errors import InputError, RunError

_VERSION = "1"  # of the features: another one where the same settings come to mean other numbers


@dataclass(frozen=True)
class FeatureCache:
    """A folder of features, one file each, named by what they were made of.

    The name is the SHA-256 of the settings and of the bytes of the sound file, so that a clip that was moved is found
    and one that was changed is not. A file appears whole or not at all; one that is damaged is made anew.

    Attributes:
        folder: Made with the first feature; only what is inside it is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sound, cache = Path(folder, "a.wav"), FeatureCache(Path(folder, "cache"))
        ...     _ = sound.write_bytes(b"sound")
        ...     first = cache.get(sound, "mel", lambda: torch.ones(2))
        ...     cache.get(sound, "mel", lambda: torch.zeros(2)).tolist()
        [1.0, 1.0]
    """

    folder: Path

    def get(self, sound: Path, settings: str, make: Callable[[], Tensor]) -> Tensor:
        """The features of a file, from the folder or made now and put there.

        Raises:
            InputError: The file cannot be read.
            RunError: The features cannot be written.
        """
        place = self._place(sound, settings)
        stored = _read(place)
        if stored is not None:
            return stored
        made = make()
        try:
            _write(place, made)
        except OSError as error:
            raise RunError(
                f"cache={self.folder}: features cannot be written there ({error.strerror}); give another."
            ) from error
        return made

    def _place(self, sound: Path, settings: str) -> Path:
        try:
            content = hashlib.sha256(sound.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"The clip '{sound}' cannot be read ({error.strerror}).") from error
        name = hashlib.sha256(f"{_VERSION}\n{settings}\n{content}".encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.npy"


def _read(place: Path) -> Tensor | None:
    try:
        return torch.from_numpy(np.load(place, allow_pickle=False))
    except (OSError, ValueError, EOFError, TypeError):
        return None  # not there, or damaged: it is made anew


def _write(place: Path, made: Tensor) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, made.cpu().numpy())
        os.replace(name, place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
