"""Allocations by the names the command line knows."""

from __future__ import annotations

from secateurs.allocate.overall import Global
from secateurs.allocate.sequence import Allocation
from secateurs.allocate.uniform import Uniform
from secateurs.errors import InputError

_NAMED = {"uniform": Uniform, "global": Global}


def get(name: str) -> Allocation:
    """The allocation of that name, with its default settings.

    Raises:
        InputError: there is none.

    Example:
        >>> get("uniform")
        Uniform()
    """
    if name not in _NAMED:
        raise InputError(f"allocate: there is no '{name}'; the allocations are {', '.join(_NAMED)}.")
    allocation: Allocation = _NAMED[name]()
    return allocation


def names() -> tuple[str, ...]:
    """All names.

    Example:
        >>> names()
        ('uniform', 'global')
    """
    return tuple(_NAMED)
