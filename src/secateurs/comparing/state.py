"""The folder of a comparison: a file for every ranking and every cell that is done, written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from secateurs.checks import read_text
from secateurs.comparing.records import Ranked, Record, Scored
from secateurs.errors import InputError
from secateurs.export import new_file

RESULT, CSV, LATEX = "result.json", "comparison.csv", "comparison.tex"
KINDS = (Ranked.kind, Scored.kind)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class State:
    """What is done, by the key of what it depends on. Other settings have other keys, so nothing is ever stale."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> State:
        """Make the folder, or go on in one that an earlier comparison made.

        Raises:
            InputError: A file is there, or a folder with something else in it, or it cannot be written to.

        Example:
            >>> import tempfile
            >>> State.at(Path(tempfile.mkdtemp()) / "out").folder.name
            'out'
        """
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: a comparison is a folder, and a file is there; choose another.")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / Scored.kind).is_dir():
            raise InputError(
                f"{folder}: the folder is not empty and holds no comparison; choose another, or remove it."
            )
        try:
            for kind in KINDS:
                (folder / kind).mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InputError(
                f"{folder}: cannot be written to ({problem.strerror}); choose another folder."
            ) from None
        return cls(folder)

    def done(self, kind: type[R], key: str) -> R | None:
        """What a file says was done; None where there is none, where it is damaged, or where it says what failed.

        What failed is tried again: what was missing may be there by now.
        """
        found = self.read(kind, key)
        return None if found is None or found.reason is not None else found

    def read(self, kind: type[R], key: str) -> R | None:
        """What a file says, of what is done and of what failed; None where there is none, or it is damaged."""
        path = self._path(kind.kind, key)
        try:
            found = cast("R", kind.from_json(read_text(path), str(path)))
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, InputError):
            return None
        return found if found.key == key else None

    def write(self, record: Record) -> None:
        """Put a record in its place, by one rename."""
        self.put(self._path(record.kind, record.key), record.to_json())

    def put(self, path: Path, text: str) -> None:
        """Write a file whole, by one rename."""
        with new_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / f"{key}.json"
