"""Whose multiply-adds and parameters they are: every one is counted once, in one group or in none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from secateurs.contracts import Group, IntArray
from secateurs.graph.costs import CostFunction

OTHER = "other"
"""What is in no group and of no weight that is named: products of activations, vectors of layers that stay whole."""
_PLACE = re.compile(r" in \S+( at \S+)?$")


class Priced(Protocol):
    """What costs are shared out of: the part of a `Graph` that says what its groups are and what they cost."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups, in the order of the forward pass."""
        ...

    @property
    def costs(self) -> CostFunction:
        """What the network costs."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the stored tensors."""
        ...

    @property
    def untouched(self) -> Mapping[str, str]:
        """Weights in no group, with the reason."""
        ...


@dataclass(frozen=True)
class Spent:
    """Parameters and multiply-adds, counted once."""

    params: int
    macs: int


@dataclass(frozen=True)
class Attribution:
    """Costs by group, and by the name of what is in no group; together they are all that the network costs."""

    groups: Mapping[str, Spent]
    others: Mapping[str, Spent]


@dataclass(frozen=True)
class Removable:
    """Shares of the multiply-adds: `free` in layers that can become smaller, the others by the reason they cannot.

    `locked` gives, by reason, the share and the number of groups; `elsewhere` is the share in no group.
    """

    free: float
    locked: Mapping[str, tuple[float, int]]
    elsewhere: float


def attribute(graph: Priced) -> Attribution:
    """Share out the costs of a network: to the groups whose channels they make, else to the weights in no group.

    A layer whose channels lie in several groups counts in each by its share of the channels; what is left of a
    layer belongs to those of its weights that are in no group, by their sizes, else to `OTHER`. Rounded so that
    the sums are exact.

    Example:
        >>> import torch
        >>> from secateurs.graph import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
        >>> attribute(trace(net, torch.zeros(1, 3))).groups
        {'0': Spent(params=16, macs=12), '2': Spent(params=10, macs=8)}
    """
    macs, by_layer = graph.costs.macs_by_group()
    params, by_name = graph.costs.params_by_group()
    names = [*graph.untouched, OTHER]
    more_params, more_macs = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for name, count in by_name.items():
        near = [n for n in graph.untouched if _layer(n) == _layer(name)]
        more_params[name if name in more_params else near[0] if near else OTHER] += count
    for layer, count in by_layer.items():
        near = [n for n in graph.untouched if _layer(n) == layer]
        sizes = [float(np.prod(graph.shapes[n])) for n in near]
        for n, size in zip(near or [OTHER], sizes or [1.0], strict=True):
            more_macs[n] += count * size / (sum(sizes) or 1.0)
    whole_params = _rounded([*params, *more_params.values()])
    whole_macs = _rounded([*macs, *more_macs.values()])
    spent = [Spent(p, m) for p, m in zip(whole_params, whole_macs, strict=True)]
    count_of = len(graph.groups)
    return Attribution(
        {g.name: s for g, s in zip(graph.groups, spent[:count_of], strict=True)},
        dict(zip(names, spent[count_of:], strict=True)),
    )


def removable(graph: Priced) -> Removable:
    """Which share of the multiply-adds lies in layers that can become smaller, and why the others cannot.

    A layer can become smaller where channels of a free group leave it or enter it.

    Example:
        >>> import torch
        >>> from secateurs.graph import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
        >>> removable(trace(net, torch.zeros(1, 3)))
        Removable(free=1.0, locked={}, elsewhere=0.0)
    """
    total = max(1, sum(graph.costs.macs_by_layer().values()))
    free = graph.costs.terms_within(np.array([g.locked is None for g in graph.groups], dtype=bool))
    stuck: IntArray = np.flatnonzero(~free)
    macs, others = graph.costs.macs_by_group(stuck)
    locked: dict[str, tuple[float, int]] = {}
    for group, count in zip(graph.groups, macs, strict=True):
        if count > 0:
            reason = without_place(group.locked or "")
            share, groups = locked.get(reason, (0.0, 0))
            locked[reason] = (share + float(count) / total, groups + 1)
    elsewhere = sum(others.values()) / total
    left = 1.0 - elsewhere - sum(share for share, _ in locked.values())
    return Removable(left if len(stuck) else 1.0, locked, elsewhere)


def without_place(reason: str) -> str:
    """A lock's reason without the operation and the line of code.

    Example:
        >>> without_place("is normalised over in layer_norm at net.py:3")
        'is normalised over'
        >>> without_place("the code at net.py:3 needs the full size: shape '[8]' is invalid")
        'the code needs the full size'
    """
    if reason.startswith("the code at "):
        return "the code needs the full size"
    return _PLACE.sub("", reason.split(":")[0] if reason.startswith("the code ") else reason)


def _layer(tensor: str) -> str:
    owner, _, inner = tensor.partition(".parametrizations.")
    return owner if inner else tensor.rpartition(".")[0]


def _rounded(numbers: Sequence[float]) -> list[int]:
    """Integers near the numbers whose sum is the rounded sum of the numbers."""
    ends = np.round(np.cumsum([0.0, *numbers]) + 1e-9).astype(np.int64)
    return [int(n) for n in np.diff(ends)]
