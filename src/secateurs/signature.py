"""The arguments of a function, taken from the fields of a dataclass: a setting is written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from torch import nn

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Pruning(Protocol[P, R]):
    """A function of a network, an example, and settings by name."""

    def __call__(self, model: nn.Module, example: Any, /, *args: P.args, **settings: P.kwargs) -> R:
        """Run on a network."""
        ...


def taking(asked: Callable[P, Any]) -> Callable[[Callable[..., R]], Pruning[P, R]]:
    """Give a function of a network, an example and anything by name the arguments of a dataclass.

    So a setting is written once, as a field, and type checkers, `help` and notebooks see it.

    Raises:
        TypeError: On a call with an argument that is no field.
    """
    here = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
        for name, kind in (("model", nn.Module), ("example", Any))
    ]
    there = list(inspect.signature(asked).parameters.values())

    def give(function: Callable[..., R]) -> Pruning[P, R]:
        signature = inspect.Signature(
            [*here, *there], return_annotation=inspect.signature(function).return_annotation
        )

        @functools.wraps(function)
        def call(*args: Any, **settings: Any) -> R:
            try:
                bound = signature.bind(*args, **settings).arguments
            except TypeError as error:
                raise TypeError(f"{function.__name__}(): {error}; settings go by name") from None
            return function(bound.pop("model"), bound.pop("example"), **bound)

        call.__signature__ = signature  # type: ignore[attr-defined]
        return cast("Pruning[P, R]", call)

    return give
