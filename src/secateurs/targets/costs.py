"""Targets in what a plan predicts exactly: multiply-adds, parameters, units, or a cost of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from secateurs.contracts import IntArray
from secateurs.graph import Graph
from secateurs.targets.base import Attempt, check_stays
from secateurs.targets.schedule import Cost, limit_of, refilled, steps_to


@dataclass(frozen=True)
class Counted:
    """A share that stays of a cost which is a function of how many units every group keeps.

    Attributes:
        value: The share, in (0, 1].
        name: What the target is called on record.
        cost: From a graph to that function, which must only fall as units leave.
        by_group: Whether the share is that of every group where units leave uniformly by a method whose paper rounds
            what leaves: round((1 - share) n) of n units, whatever that makes of the whole.

    Raises:
        InputError: The share is no number in (0, 1].

    Example:
        >>> Counted(0.5, "units", lambda graph: lambda counts: float(counts.sum())).value
        0.5
    """

    value: float
    name: str
    cost: Callable[[Graph], Cost]
    by_group: bool = False

    def __post_init__(self) -> None:
        check_stays(self.name, self.value)

    def counts(self, attempt: Attempt) -> IntArray:
        """The most units in every group with which the cost is at most the share of what it was.

        The shortest prefix of the removal schedule that is enough, less the blocks that can come back.

        Raises:
            TargetError: Not even all removals are enough.

        Cost:
            O(N log N) for N units.
        """
        if self.by_group and attempt.ranking.rounding == "removed" and attempt.uniform:
            return attempt.shares(self.value)
        graph: Graph = attempt.ranking.graph
        cost = self.cost(graph)
        limit = limit_of(self.value, cost(graph.costs.sizes))

        def enough(counts: IntArray) -> bool:
            return cost(counts) <= limit

        schedule = attempt.schedule(enough)
        steps = steps_to(graph, schedule, self.name, self.value, cost)
        return refilled(schedule, steps, enough)

    def remarks(self, attempt: Attempt, small: nn.Module) -> tuple[str, ...]:
        """Nothing: what a plan predicts is exact."""
        return ()


def macs(share: float) -> Counted:
    """Share of the multiply-adds of one sample that stays, in (0, 1].

    Example:
        >>> macs(0.5).name
        'macs'
    """
    return Counted(share, "macs", _macs)


def params(share: float) -> Counted:
    """Share of the parameters that stays, in (0, 1].

    Example:
        >>> params(0.5) == params(0.5)
        True
    """
    return Counted(share, "params", _params)


def keep(share: float) -> Counted:
    """Share of the units of the free groups that stays, in (0, 1].

    Example:
        >>> keep(1.0).value
        1.0
    """
    return Counted(share, "keep", _units, by_group=True)


def _macs(graph: Graph) -> Cost:
    return graph.costs.macs


def _params(graph: Graph) -> Cost:
    return graph.costs.params


def _units(graph: Graph) -> Cost:
    free = np.array([group.locked is None for group in graph.groups])
    return lambda counts: float(counts[free].sum())
