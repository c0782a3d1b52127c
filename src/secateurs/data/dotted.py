"""The user's own code, named as `package.module:callable`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secateurs.errors import InputError


@contextmanager
def _working_folder_importable() -> Iterator[None]:
    """The command line runs as an installed script, where the user's folder is not on the path."""
    folder = str(Path.cwd())
    added = folder not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def load_object(spec: str, what: str) -> Any:
    """Import the object that `package.module:name` names; the working folder is importable.

    Args:
        spec: For example `mypackage.models:make_net`; dots after the colon reach into classes.
        what: What the object is for, in the words of the message ("model", "data").

    Raises:
        InputError: the form is wrong, the module cannot be imported, or it holds no such name.

    Example:
        >>> load_object("math:sqrt", "model")(9.0)
        3.0
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise InputError(f"The {what} '{spec}' is not of the form package.module:callable.")
    with _working_folder_importable():
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = error.name or module_name
            where = "" if missing == module_name else f" (which '{module_name}' imports)"
            raise InputError(
                f"The {what} '{spec}' names a module that cannot be found: '{missing}'{where}; run in the "
                "folder that holds it, or install it."
            ) from error
        except Exception as error:
            raise InputError(
                f"The {what} '{spec}': importing '{module_name}' failed with {type(error).__name__}: {error}."
            ) from error
    return _within(found, path, spec, what)


def load_file(file: str, path: str, what: str) -> Any:
    """Run a Python file of the user's and take the object of that name; modules beside it are importable.

    Args:
        file: For example `my_file.py`.
        path: What to take; dots reach into classes.
        what: What the object is for, in the words of the message ("method").

    Raises:
        InputError: There is no such file, it fails, or it holds no such name.

    Example:
        >>> load_file("nothing.py", "score", "method")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The method 'nothing.py:score' names a file that is not there.
    """
    spec, place = f"{file}:{path}", Path(file)
    if not place.is_file():
        raise InputError(f"The {what} '{spec}' names a file that is not there.")
    known = importlib.util.spec_from_file_location(place.stem, place)
    if known is None or known.loader is None:
        raise InputError(f"The {what} '{spec}': Python cannot read '{file}' as a module.")
    module = importlib.util.module_from_spec(known)
    with _working_folder_importable():
        try:
            known.loader.exec_module(module)
        except Exception as error:
            raise InputError(
                f"The {what} '{spec}': running '{file}' failed with {type(error).__name__}: {error}."
            ) from error
    return _within(module, path, spec, what)


def load_own(spec: str, what: str, word: str) -> Any:
    """Import what `my_file.py:name` or `package.module:name` names, and run the file for it.

    Args:
        spec: What the user has typed.
        what: What it is for, in the words of the message ("method").
        word: A name that stands for the user's in the message.

    Raises:
        InputError: The form is wrong, or as `load_file` and `load_object`.

    Example:
        >>> load_own("math:sqrt", "method", "score")(9.0)
        3.0
    """
    file, _, name = spec.rpartition(":")
    if not file or not name:
        raise InputError(f"{what}: '{spec}' is not of the form my_file.py:{word} or package.module:{word}.")
    return load_file(file, name, what) if file.endswith(".py") else load_object(spec, what)


def _within(found: Any, path: str, spec: str, what: str) -> Any:
    for part in path.split("."):
        if not hasattr(found, part):
            names = ", ".join(n for n in dir(found) if not n.startswith("_"))
            raise InputError(
                f"The {what} '{spec}': '{spec.rpartition(':')[0]}' has no '{path}'; it has: {names[:300]}."
            )
        found = getattr(found, part)
    return found


def load_callable(spec: str, what: str) -> Callable[..., Any]:
    """`load_object`, for something that has to be callable.

    Raises:
        InputError: as `load_object`, and where the object cannot be called.

    Example:
        >>> load_callable("math:pi", "data")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data 'math:pi' is a float, not a function or class to call.
    """
    found = load_object(spec, what)
    if not callable(found):
        raise InputError(f"The {what} '{spec}' is a {type(found).__name__}, not a function or class to call.")
    result: Callable[..., Any] = found
    return result
