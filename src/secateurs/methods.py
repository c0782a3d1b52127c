"""The published methods, each a composition of represent + measure + select.

A method is a frozen value: `methods.l1_norm()`. The command line finds it under the name of its function,
with hyphens. To add one, write a function here that returns a `Method`, and name it in `__all__`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from secateurs import measure, represent, select
from secateurs.contracts import Order
from secateurs.errors import InputError

Needs = Literal["nothing", "data"]


class Sight(Protocol):
    """What a method sees of one group: matrices, never the model."""

    @property
    def banks(self) -> list[Tensor]:
        """Filters of every layer that makes the channels: (n, c, taps) each."""
        ...

    @property
    def readers(self) -> list[Tensor]:
        """Weights that read the channels: (n, outputs, taps) each."""
        ...


@dataclass(frozen=True)
class Composition:
    """Order of one group: represent each of its filter banks, measure, add up over the banks, select.

    Sums over coupled layers are what methods.md proposes: units of a group leave all its layers at once.
    """

    represent: Callable[[Tensor], Tensor]
    measure: Callable[[Tensor], Tensor]
    select: Callable[[Tensor], Order]

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost: that of the measure, once a bank."""
        del seed
        total: Tensor | None = None
        for bank in sight.banks:
            score = self.measure(self.represent(bank))
            total = score if total is None else total + score
        if total is None:
            raise InputError("a group without filters cannot be ranked")
        return self.select(total)


@dataclass(frozen=True)
class Drawn:
    """Random order, another one for every group but the same for the same seed."""

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n)."""
        return select.by_worth(measure.Random(seed)(represent.Flat()(sight.banks[0])))


@dataclass(frozen=True)
class Method:
    """A way to rank: `order` gives each group's order from what is seen of it.

    `certain` says what is found in the source and what is a reading of it; `needs` is "data" where the
    method looks at feature maps.
    """

    name: str
    summary: str
    order: Callable[[Sight, int], Order]
    paper: str = ""
    year: int | None = None
    needs: Needs = "nothing"
    certain: str = ""
    own_ratio: bool = False


def l1_norm() -> Method:
    """Filters with the smallest sum of absolute weights leave first."""
    return Method(
        "l1-norm",
        "filters with the smallest absolute weights",
        Composition(represent.Flat(), measure.L1Norm(), select.ByWorth()),
        "Li et al., Pruning filters for efficient ConvNets, ICLR",
        2017,
        certain="formula",
    )


def l2_norm() -> Method:
    """Filters with the smallest Euclidean norm leave first."""
    return Method(
        "l2-norm",
        "filters with the smallest Euclidean norm",
        Composition(represent.Flat(), measure.L2Norm(), select.ByWorth()),
        "folklore; He et al., Soft filter pruning, IJCAI",
        2018,
        certain="formula",
    )


def geometric_median() -> Method:
    """Filters nearest the geometric median of their layer leave first."""
    return Method(
        "geometric-median",
        "filters nearest the geometric median",
        Composition(represent.Flat(), measure.GeometricMedian(), select.ByWorth()),
        "He et al., Filter pruning via geometric median (FPGM), CVPR",
        2019,
        certain="formula",
    )


def random() -> Method:
    """Filters leave in random order: what every method has to beat."""
    return Method("random", "filters drawn at random", Drawn(), certain="formula")


def similarity(faithful: bool = False) -> Method:
    """Of the closest pairs of filter directions, one leaves; has its own ratio."""
    return Method(
        "similarity",
        "one of each pair of filters with the closest directions",
        Composition(
            represent.RankOneDirection(faithful),
            measure.Cosine(decimals=5 if faithful else None),
            select.NearestPairs(faithful),
        ),
        "Singh & Plumbley, A passive similarity based CNN filter pruning, Interspeech",
        2022,
        certain="official code",
        own_ratio=True,
    )


__all__ = ["geometric_median", "l1_norm", "l2_norm", "random", "similarity"]

METHODS: tuple[Method, ...] = tuple(getattr(sys.modules[__name__], name)() for name in __all__)


def names() -> tuple[str, ...]:
    """The names the command line knows.

    Example:
        >>> "l1-norm" in names()
        True
    """
    return tuple(method.name for method in METHODS)


def get(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: there is none; says which names are near.
    """
    for method in METHODS:
        if method.name == name:
            return method
    near = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the methods are {', '.join(names())}."
    raise InputError(f"method: there is no '{name}'; {hint}")
