"""Single arguments: numbers, shares, seeds, paths. One sentence says what is wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

from secateurs.checks.shown import shown
from secateurs.effort import Effort
from secateurs.errors import InputError

LARGEST_SEED = 2**32 - 1
"""Generators of numpy and scikit-learn take no larger one."""
LARGEST_COUNT = 2**31 - 1


def check_whole(name: str, value: Any, least: int = 1, most: int = LARGEST_COUNT, more: str = "") -> int:
    """A whole number within bounds, as a plain int; True and 2.0 are none. `more` is what else may be given.

    Raises:
        InputError: It is none, or out of bounds.

    Example:
        >>> check_whole("round_to", 8)
        8
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        upper = "" if most == LARGEST_COUNT else f" to {most:,}"
        raise InputError(f"{name} is {shown(value)}; give a whole number from {least}{upper}{more}.")
    return int(value)


def check_multiple(name: str, value: Any) -> int | Literal["auto"]:
    """A multiple that groups keep: a whole number from 1 (free widths), or "auto".

    Raises:
        InputError: It is neither.

    Example:
        >>> check_multiple("round_to", 8), check_multiple("round_to", "auto")
        (8, 'auto')
    """
    if isinstance(value, str) and value == "auto":
        return "auto"
    return check_whole(name, value, more=", or 'auto'")


def check_seed(value: Any, name: str = "seed") -> int:
    """A seed, from 0 to 2^32 - 1.

    Raises:
        InputError: It is none.

    Example:
        >>> check_seed(0)
        0
    """
    return check_whole(name, value, 0, LARGEST_SEED)


def check_effort(name: str, value: Any) -> None:
    """Raise an InputError where a value is no effort.

    Example:
        >>> check_effort("effort", "fast")
    """
    if not isinstance(value, str) or value not in get_args(Effort):
        raise InputError(f"{name} is {shown(value)}; give 'fast', 'default' or 'best'.")


def check_number(name: str, value: Any, give: str = "a number") -> float:
    """A number as a plain float; text, True and NaN are none.

    Raises:
        InputError: It is none.

    Example:
        >>> check_number("macs", 1)
        1.0
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # whole numbers may be larger than any float
            found = float(value)
            if not math.isnan(found):
                return found
    raise InputError(f"{name} is {shown(value)}; give {give}.")


def check_shares(name: str, value: Any) -> dict[str, float]:
    """Shares in (0, 1] by pattern of names, as `layers` takes them; None gives none.

    Raises:
        InputError: It is no mapping, a pattern is no text, or a share is none.

    Example:
        >>> check_shares("layers", {"layer1.*": 1})
        {'layer1.*': 1.0}
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(
            f"{name} is {shown(value)}; give shares by pattern of names, as in {{'layer1.*': 0.5}}."
        )
    found = {}
    for pattern, share in value.items():
        if not isinstance(pattern, str):
            raise InputError(f"{name}: a pattern is {shown(pattern)}; give text such as 'layer1.*'.")
        found[pattern] = check_number(f"{name}: the share of {shown(pattern)}", share, "a number in (0, 1]")
        if not 0 < found[pattern] <= 1:
            raise InputError(f"{name}: '{pattern}' is to keep {found[pattern]:g}; give a share in (0, 1].")
    return found


def check_flag(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one of them.

    Raises:
        InputError: It is neither.

    Example:
        >>> check_flag("frame", True)
        True
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} is {shown(value)}; give True or False.")
    return value


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], give: str) -> None:
    """Make sure that an argument is an object of a class; the message says what to give instead.

    Raises:
        InputError: It is not.

    Example:
        >>> check_kind("graph", 3, dict, "what secateurs.trace(model, example) returns")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: graph is 3; give what secateurs.trace(model, example) returns.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} is {shown(value)}; give {give}.")


def check_callable(name: str, value: Any, give: str) -> None:
    """Make sure that an argument can be called and is no class.

    Raises:
        InputError: It cannot, or is one.

    Example:
        >>> check_callable("progress", print, "a function")
    """
    if not callable(value) or isinstance(value, type):
        raise InputError(f"{name} is {shown(value)}; give {give}.")


def check_allocation(allocate: Any, *, names: bool) -> None:
    """Make sure that an argument is an allocation, or the name of one where names are taken.

    Raises:
        InputError: It is not.

    Example:
        >>> check_allocation("uniform", names=True)
    """
    if isinstance(allocate, str) and names:
        return
    if isinstance(allocate, (str, type)) or not (callable(allocate) or hasattr(allocate, "until")):
        give = "a name such as 'uniform' or an allocation" if names else "an allocation"
        raise InputError(f"allocate is {shown(allocate)}; give {give}, such as secateurs.allocate.Uniform().")


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise InputError(f"{name} is {shown(value)}; give the path of a file as text or pathlib.Path.")
    text = os.fspath(value)
    if not text or "\0" in text:
        raise InputError(f"{name} is {shown(text)}; give the path of a file.")
    return Path(text)


def file_to_write(value: Any, name: str = "path") -> Path:
    """A path where a file can be written: its folder is there, and no folder has its name.

    Raises:
        InputError: Nothing can be written there; says why.

    Example:
        >>> file_to_write("small.safetensors").name
        'small.safetensors'
    """
    path = _path(name, value)
    try:
        taken, there = path.is_dir(), path.parent.is_dir()
        writable = there and os.access(path.parent, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(str(path))}: no file can be written there ({error}).") from error
    if taken:
        raise InputError(f"{path}: is a folder; name a file in it, such as {path / 'small.safetensors'}.")
    if not there:
        raise InputError(f"{path}: there is no folder {path.parent}; make it first.")
    if not writable:
        raise InputError(f"{path}: no permission to write in {path.parent}; choose another place.")
    return path


def file_to_read(value: Any, inside: str, name: str = "path") -> Path:
    """A path of a file that is there; a folder stands for the file called `inside` in it.

    Raises:
        InputError: There is none; says what is there.

    Example:
        >>> file_to_read("nothing.safetensors", "model.safetensors")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: nothing.safetensors: there is no such file; give a file that secateurs wrote.
    """
    path = _path(name, value)
    try:
        if path.is_dir():
            if not (path / inside).is_file():
                raise InputError(f"{path}: this folder holds no {inside}; give one that secateurs wrote.")
            return path / inside
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; give a file that secateurs wrote.")
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(str(path))}: there is no such file ({error}).") from error
    return path
