"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from secateurs.errors import InputError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A path to write to; the file takes its place at `path` when the block ends well.

    Where the block raises, whatever it wrote is removed and a file that was at `path` stays.

    Args:
        path: The file to make or to replace. Its folder must exist.

    Yields:
        A path in the same folder, so that the last step is one rename.

    Raises:
        InputError: The folder is missing or cannot be written to, or `path` is a folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with new_file(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    folder = _beside(path)
    try:
        yield folder / path.name
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Paths to write to; all files take their places when the block ends well, or none.

    Where the block raises, or one of the renames at its end fails, none of the files is left.

    Args:
        paths: The files to make, which must not exist. Their folders must.

    Yields:
        A path for each, in the same folder as that file.

    Raises:
        InputError: See `new_file`; or one of the files exists.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with new_files(folder / "a.txt", folder / "b.txt") as (a, b):
        ...     _ = a.write_text("1"), b.write_text("2")
        >>> sorted(file.name for file in folder.iterdir())
        ['a.txt', 'b.txt']
    """
    folders: list[Path] = []
    placed: list[Path] = []
    try:
        for path in paths:
            _check_absent(path)
            folders.append(_beside(path))
        yield tuple(folder / path.name for folder, path in zip(folders, paths, strict=True))
        for folder, path in zip(folders, paths, strict=True):
            _check_absent(path)
            os.rename(folder / path.name, path)
            placed.append(path)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _check_absent(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: exists already; choose another name or remove it")


def _beside(path: Path) -> Path:
    """A fresh folder beside a file that is to be made."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder {path.parent} does not exist; make it first")
    return _sibling(path.parent, path.name)


@contextmanager
def new_folder(path: Path, *, replaces: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A folder to write into, which takes its place at `path` when the block ends well.

    Where the block raises or is interrupted nothing is left, neither at `path` nor beside it; folders
    above `path` are made where they are missing.

    Args:
        path: The folder to make: it may exist only if it is empty.
        replaces: Says of a folder at `path` that is not empty whether it may be replaced; None for never.

    Yields:
        A folder beside `path`, so that the last step is one rename.

    Raises:
        InputError: See `check_free`.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "runs" / "a"
        >>> with new_folder(out) as temporary:
        ...     _ = (temporary / "result.json").write_text("{}")
        >>> [file.name for file in out.iterdir()]
        ['result.json']
    """
    check_free(path, replaces=replaces)
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = _sibling(path.parent, path.name)
    try:
        yield folder
        check_free(path, replaces=replaces)
        _put(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()
        raise


def _put(folder: Path, path: Path) -> None:
    """Rename a folder to its place; what was there before comes back where that fails."""
    if not path.is_dir() or not any(path.iterdir()):
        with suppress(FileNotFoundError):
            path.rmdir()
        os.rename(folder, path)
        return
    old = _sibling(path.parent, path.name)
    os.rename(path, old)  # onto an empty folder
    try:
        os.rename(folder, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_free(path: Path, *, replaces: Callable[[Path], bool] | None = None) -> None:
    """Make sure that a folder can be written at `path`, before anything long is begun.

    Args:
        path: Where the folder is to be.
        replaces: Says of a folder there that is not empty whether it may be replaced; None for never.

    Raises:
        InputError: Something is there already, or the folder above cannot be written to.

    Example:
        >>> check_free(Path("a-folder-that-is-not-there"))
    """
    if path.is_dir():
        try:
            taken = any(path.iterdir()) and not (replaces is not None and replaces(path))
        except OSError as problem:
            raise InputError(
                f"{path}: cannot be read ({problem.strerror}); choose another output folder"
            ) from problem
        if taken:
            raise InputError(
                f"{path}: the output folder exists and is not empty; choose another or remove it"
            )
    elif path.exists() or path.is_symlink():
        raise InputError(f"{path}: the output has to be a folder, and a file is there; choose another")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{path}: {above} is a file, so no folder can be made in it; choose another")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {above}; choose another output folder")


def _sibling(parent: Path, name: str) -> Path:
    """A fresh hidden folder, on the same disk as its final place, with the permissions of an ordinary one."""
    folder = parent / f".{name}.{secrets.token_hex(8)}"
    try:
        folder.mkdir()  # with the process's own mask, which can be read only by changing it
    except OSError as problem:
        raise InputError(
            f"{parent}: cannot be written to ({problem.strerror}); choose another place"
        ) from problem
    return folder
