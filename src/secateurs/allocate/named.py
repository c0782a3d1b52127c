"""Allocations by the names the command line knows."""

from __future__ import annotations

from secateurs.allocate.overall import Global, Threshold
from secateurs.allocate.search import Search
from secateurs.allocate.sensitivity import Sensitivity
from secateurs.allocate.sequence import Allocation
from secateurs.allocate.uniform import Uniform
from secateurs.contracts import Loader
from secateurs.errors import InputError

_NAMED: dict[str, Allocation] = {
    "uniform": Uniform(),
    "global": Global(),
    "threshold": Threshold(),
    "sensitivity": Sensitivity(),
    "search": Search(),
}


def names() -> tuple[str, ...]:
    """All names.

    Example:
        >>> names()
        ('uniform', 'global', 'threshold', 'sensitivity', 'search')
    """
    return tuple(_NAMED)


def get(allocation: str | Allocation) -> Allocation:
    """The allocation of that name, with its default settings; an own one is returned as it is.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> get("uniform")
        Uniform()
    """
    if not isinstance(allocation, str):
        return allocation
    if allocation not in _NAMED:
        raise InputError(f"allocate: there is no '{allocation}'; the allocations are {', '.join(names())}.")
    return _NAMED[allocation]


def check(allocation: str | Allocation, data: Loader | None) -> None:
    """Raise an InputError where there is no such allocation, or it needs data and there are none.

    Example:
        >>> check("uniform", None)
    """
    if data is None and getattr(get(allocation), "needs_data", False):
        name = allocation if isinstance(allocation, str) else type(allocation).__name__
        plain = [other for other, made in _NAMED.items() if not getattr(made, "needs_data", False)]
        raise InputError(
            f"data: the allocation '{name}' measures damage on data and got none; give some, or use "
            f"{', '.join(plain)}."
        )
