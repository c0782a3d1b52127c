"""Methods from the user's own code: a function from filters to scores, in Python or on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from secateurs import select
from secateurs.checks import shown
from secateurs.data.dotted import load_own
from secateurs.errors import InputError
from secateurs.methods.base import Method
from secateurs.methods.stages import Composition
from secateurs.represent import Filters


@dataclass(frozen=True)
class Own:
    """A function of the user's, from filters (n, d) to scores (n,), whose result is checked."""

    function: Callable[[Tensor], Any]
    name: str

    def __call__(self, filters: Tensor) -> Tensor:
        """Call the function and check that it returned one number for every filter."""
        try:
            found = self.function(filters)
            scores = torch.as_tensor(found).detach().to(torch.float64)
        except Exception as error:
            raise InputError(
                f"method: '{self.name}', given filters of shape {tuple(filters.shape)}, failed with "
                f"{type(error).__name__}: {str(error)[:200]}."
            ) from error
        if scores.shape != filters.shape[:1]:
            raise InputError(
                f"method: '{self.name}', given filters of shape {tuple(filters.shape)}, returned {shown(found)}; "
                f"return one number for every filter, shape ({len(filters)},)."
            )
        return scores


def of_function(function: Callable[[Tensor], Any], name: str | None = None) -> Method:
    """Make a method of a function that scores filters; the lowest scores leave first.

    Args:
        function: From filters (n, d), float64, one a row, to n numbers. Where several layers produce the channels
            of a group, it is called for each and the numbers are added up.
        name: What the method is called on record; the function's module and name by default.

    Returns:
        A method that needs no data.

    Raises:
        InputError: While ranking: the function fails, or returns something else.

    Example:
        >>> of_function(lambda filters: filters.abs().amax(dim=1), "linf").name
        'linf'
    """
    module = getattr(function, "__module__", None) or type(function).__module__
    called = getattr(function, "__qualname__", type(function).__name__)
    name = name or f"{module}:{called}"
    order = Composition(Filters(), Own(function, name), select.by_worth)
    return Method(name, "filters with the lowest own score", order, certain="your own code")


def own_method(spec: str) -> Method:
    """Import a method from code of the user's: `my_file.py:score` or `package.module:score`.

    This imports the code. It is for names that the user has typed in this very command, never for names from a file.

    Args:
        spec: What to import, and after the colon a function of filters (n, d) or a `Method`.

    Returns:
        The method, called `spec` on record, so that the record says what was run.

    Raises:
        InputError: The code cannot be found, fails, or is something else.

    Example:
        >>> own_method("torch:sum").name
        'torch:sum'
    """
    found = load_own(spec, "method", "score")
    if isinstance(found, type) or not (isinstance(found, Method) or callable(found)):
        raise InputError(
            f"method: '{spec}' is {shown(found)}; give a function of filters (n, d), or a Method."
        )
    return replace(found, name=spec) if isinstance(found, Method) else of_function(found, spec)
