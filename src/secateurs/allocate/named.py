"""Allocations by the names the command line knows."""

from __future__ import annotations

from secateurs.allocate.overall import Global, Threshold
from secateurs.allocate.sequence import Allocation
from secateurs.allocate.uniform import Uniform
from secateurs.contracts import Loader
from secateurs.errors import InputError

_NAMED = {"uniform": Uniform, "global": Global, "threshold": Threshold}
_WITH_DATA = ("sensitivity", "search")  # made from what was measured on data


def check(name: str, data: Loader | None) -> None:
    """Raise an InputError where there is no such allocation, or it needs data and there are none.

    Example:
        >>> check("uniform", None)
    """
    if name not in names():
        raise InputError(f"allocate: there is no '{name}'; the allocations are {', '.join(names())}.")
    if name in _WITH_DATA and data is None:
        raise InputError(
            f"data: the allocation '{name}' measures damage on data and got none; give some, or use "
            f"{', '.join(_NAMED)}."
        )


def get(name: str) -> Allocation:
    """The allocation of that name, with its default settings.

    Raises:
        InputError: there is none.

    Example:
        >>> get("uniform")
        Uniform()
    """
    if name not in _NAMED:
        raise InputError(f"allocate: there is no '{name}' without data; there are {', '.join(_NAMED)}.")
    allocation: Allocation = _NAMED[name]()
    return allocation


def names() -> tuple[str, ...]:
    """All names.

    Example:
        >>> names()
        ('uniform', 'global', 'threshold', 'sensitivity', 'search')
    """
    return (*_NAMED, *_WITH_DATA)
