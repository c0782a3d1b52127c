"""Random functions without randomness: networks of different widths draw the same numbers, and no generator moves.

A network that draws (noise, dropout that stays on) cannot be compared with a narrower one number by number: the
draws have other shapes. Here every call draws one number, which fills whatever shape is asked for, and dropout passes
its input. What holds for channels elementwise under such draws holds under any.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from secateurs.network.operations import kind_of

_EMPTY: dict[str, Callable[..., Tensor]] = {
    "rand": torch.empty,
    "randn": torch.empty,
    "rand_like": torch.empty_like,
    "randn_like": torch.empty_like,
}
_NORMAL = {"randn", "randn_like", "normal_", "normal"}


class Chance:
    """One sequence of numbers from a seed, handed out call by call.

    Example:
        >>> first, second = Chance(0), Chance(0)
        >>> a, b = first("rand", torch.rand, (2, 3), {}), second("rand", torch.rand, (5,), {})
        >>> bool((a == b[0]).all())
        True
    """

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)  # numbers of Python's own are no operation of the network

    def __call__(
        self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """The result of a random function, or NotImplemented where it is none."""
        if kind_of(name) == "dropout":
            return args[0] if args else kwargs["input"]
        if name in _EMPTY:
            made = _EMPTY[name](*args, **{k: v for k, v in kwargs.items() if k != "generator"})
            return torch.full_like(made, self._number(name))
        rule = _RULES.get(name)
        return NotImplemented if rule is None else rule(self, func, args, dict(kwargs))

    def _number(self, name: str) -> float:
        return self.source.gauss(0.0, 1.0) if name in _NORMAL else self.source.random()

    def _uniform_(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        low, high = _two(args, kwargs, ("from", "to"), (0.0, 1.0))
        return args[0].fill_(low + (high - low) * self._number("rand"))

    def _normal_(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        mean, std = _two(args, kwargs, ("mean", "std"), (0.0, 1.0))
        return args[0].fill_(mean + std * self._number("randn"))

    def _normal(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        mean, std = (
            kwargs.get("mean", args[0] if args else 0.0),
            kwargs.get("std", args[1] if len(args) > 1 else 1.0),
        )
        if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
            size = kwargs.get("size", args[2] if len(args) > 2 else ())
            mean = torch.full(tuple(size), float(mean))
        return mean + std * self._number("randn")

    def _bernoulli(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        share = kwargs.get("p", args[1] if len(args) > 1 else args[0])
        return (self._number("rand") < share * torch.ones_like(args[0])).to(args[0].dtype)

    def _bernoulli_(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        share = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
        return args[0].copy_(self._number("rand") < share * torch.ones_like(args[0]))

    def _seeded(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        kwargs["generator"] = torch.Generator().manual_seed(int(self._number("rand") * 2**31))
        return func(*args, **kwargs)

    def _quiet(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Randomised leaky ReLU with its mean slope, as in evaluation."""
        kwargs["training"] = False
        return func(*args[:3], **kwargs)


class WithoutChance(TorchFunctionMode):
    """Inside, random functions take their numbers from a `Chance`, and no generator of the process moves."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.chance = Chance(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A number of its own for what is random, the function itself for the rest."""
        given = kwargs or {}
        made = self.chance(getattr(func, "__name__", ""), func, args, given)
        return func(*args, **given) if made is NotImplemented else made


def _two(
    args: Any, kwargs: Mapping[str, Any], names: tuple[str, str], usual: tuple[float, float]
) -> tuple[float, float]:
    found = [
        args[1 + i] if len(args) > 1 + i else kwargs.get(name, value)
        for i, (name, value) in enumerate(zip(names, usual, strict=True))
    ]
    return float(found[0]), float(found[1])


_RULES: dict[str, Callable[[Chance, Any, Any, dict[str, Any]], Any]] = {
    "uniform_": Chance._uniform_,
    "normal_": Chance._normal_,
    "normal": Chance._normal,
    "bernoulli": Chance._bernoulli,
    "bernoulli_": Chance._bernoulli_,
    "rrelu": Chance._quiet,
    "rrelu_": Chance._quiet,
    **dict.fromkeys(
        (
            "randint",
            "randint_like",
            "randperm",
            "multinomial",
            "poisson",
            "random_",
            "exponential_",
            "cauchy_",
            "geometric_",
            "log_normal_",
        ),
        Chance._seeded,
    ),
}
