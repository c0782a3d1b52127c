"""Files in one folder a class, as image and sound folders have them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secateurs.errors import InputError


def check_folder(path: Path) -> None:
    """Make sure that there is a folder.

    Raises:
        InputError: There is none.

    Example:
        >>> check_folder(Path("."))
    """
    if not path.is_dir():
        found = "is not a folder" if path.exists() else "cannot be found"
        raise InputError(f"The data folder '{path}' {found}.")


def parts(path: Path) -> tuple[Path, Path | None]:
    """The folder of class folders for training, and that for testing, or None where the first has to be split."""
    found = [path / name for name in ("train", "val", "test") if (path / name).is_dir()]
    if len(found) > 1 and found[0].name == "train":
        return found[0], found[1]
    return (found[0] if len(found) == 1 else path), None


def scan(
    folder: Path, endings: Collection[str], what: str, classes: tuple[str, ...] | None = None
) -> tuple[list[Path], NDArray[np.int64], tuple[str, ...]]:
    """The files of every class folder, their classes in alphabetical order, and the classes.

    Args:
        folder: Has one folder a class, with folders inside or without.
        endings: Of files that count, in small letters.
        what: What they are, for the message.
        classes: Those of the training part, where this is another.

    Raises:
        InputError: No such files, class folders without any, or classes that training has not.
    """
    found = {
        f.name: sorted(i for i in f.rglob("*") if i.suffix.lower() in endings and i.is_file())
        for f in sorted(folder.iterdir())
        if f.is_dir() and not f.name.startswith(".")
    }
    if not any(found.values()):
        raise InputError(
            f"The folder '{folder}' holds no {what} in class folders: one folder a class is needed, with "
            f"files ending in {', '.join(sorted(endings))}."
        )
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise InputError(
            f"{len(empty)} class folders in '{folder}' hold no {what} ({', '.join(empty[:5])}): remove them."
        )
    strange = sorted(set(found) - set(classes or found))
    if strange:
        raise InputError(f"'{folder}' has classes that the training part has not: {', '.join(strange[:5])}.")
    classes = classes or tuple(found)
    pairs = [(file, classes.index(name)) for name, files in found.items() for file in files]
    return [file for file, _ in pairs], np.array([label for _, label in pairs], dtype=np.int64), classes
