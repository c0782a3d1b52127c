"""The contract of a target: how small a network is to be, and whether it came to that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from secateurs.allocate.found import Found
from secateurs.allocate.sequence import Allocation
from secateurs.allocate.uniform import Uniform
from secateurs.checks import check_number
from secateurs.contracts import Example, IntArray, Ranking
from secateurs.data.batches import Batch
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.meters.scoring import Metric
from secateurs.plans import plan_from_counts, plan_of_orders
from secateurs.surgery import Plan, remove
from secateurs.targets.judge import Judge
from secateurs.targets.schedule import (
    NO_BOUNDS,
    Bounds,
    Schedule,
    count_of,
    exceptions,
    removals,
    rounded,
)


def check_stays(name: str, value: Any) -> None:
    """Make sure that a target is a share that stays.

    Raises:
        InputError: It is no number, or outside (0, 1].

    Example:
        >>> check_stays("macs", 0.5)
    """
    if not 0 < check_number(name, value) <= 1:
        raise InputError(f"{name} is {value:g}; a target is the share that stays: give a number in (0, 1].")


@dataclass(frozen=True, eq=False)
class Attempt:
    """What a target may look at while it decides how many units stay.

    Attributes:
        ranking: Orders of removal, with the graph.
        allocate: Which group gives the next unit; uniform by default.
        bounds: What holds whatever the target: multiples, and shares of some groups.
        example: One input of the network, for targets that run it.
        holdout: Samples that nothing else has seen, for targets that measure accuracy.
        metric: The user's own measure of accuracy.
        finish: From a plan to the finished, repaired network; bare removal by default.
        searches: What a search has found for it so far; `schedule` adds to it.
    """

    ranking: Ranking
    allocate: Allocation | None = None
    bounds: Bounds = NO_BOUNDS
    example: Example | None = None
    holdout: Sequence[Batch] | None = None
    metric: Metric | None = None
    finish: Callable[[Plan], nn.Module] | None = None
    searches: list[Found] = field(default_factory=list)

    def schedule(self, enough: Callable[[IntArray], bool] | None = None) -> Schedule:
        """The removals in order; an allocation that searches stops where counts are `enough`."""
        found = removals(self.ranking, self.allocate, self.bounds, enough)
        if found.search is not None:
            self.searches.append(found.search)
        return found

    def plan(self, counts: IntArray, target: Mapping[str, float]) -> Plan:
        """The plan in which every group keeps so many units, those that a search has left where there is one."""
        if not self.searches:
            return plan_from_counts(self.ranking, counts, target)
        search = self.searches[-1]
        return plan_of_orders(search.ranking, search.at(counts)[0], target)

    def mixes(self, made: Plan) -> Mapping[str, Tensor]:
        """How the units that a plan keeps stand in for the others, as the search behind it has found."""
        if not self.searches:
            return {}
        groups = self.ranking.graph.groups
        counts = np.array([len(made.kept.get(group.name, range(group.size))) for group in groups])
        return self.searches[-1].at(counts)[1]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known of the search."""
        return self.searches[-1].remarks if self.searches else ()

    @cached_property
    def judge(self) -> Judge:
        """What the original makes of the holdout, which says what another network loses.

        Raises:
            InputError: There are no samples to measure accuracy on.
        """
        return Judge.of(self.ranking.graph.original, self.holdout, self.metric)

    @property
    def uniform(self) -> bool:
        """Whether every group loses the same share."""
        return isinstance(self.allocate, (Uniform, type(None)))

    def shares(self, share: float) -> IntArray:
        """Counts where every group keeps a share of its units, less the exceptions by name."""
        graph: Graph = self.ranking.graph
        start, fixed = exceptions(self.ranking, self.bounds)
        counts = start.copy()
        for i, group in enumerate(graph.groups):
            if group.name in self.ranking.orders and i not in fixed:
                counts[i] = count_of(share, group.size, self.ranking.rounding)
        return rounded(counts, graph.costs.sizes, self.bounds.given)

    def candidate(self, counts: IntArray) -> nn.Module:
        """The network in which every group keeps so many units, without repair."""
        return remove(self.ranking.graph.model, self.plan(counts, {}))

    def finished(self, counts: IntArray) -> nn.Module:
        """The network in which every group keeps so many units, as `finish` leaves it."""
        if self.finish is None:
            return self.candidate(counts)
        return self.finish(self.plan(counts, {}))


@runtime_checkable
class Target(Protocol):
    """How small a network is to be. An own target is a class of these two attributes and two methods."""

    @property
    def name(self) -> str:
        """What it is called on record."""
        ...

    @property
    def value(self) -> float:
        """The number that was asked for."""
        ...

    def counts(self, attempt: Attempt, /) -> IntArray:
        """Units that every group keeps, in the order of `attempt.ranking.graph.groups`."""
        ...

    def remarks(self, attempt: Attempt, small: nn.Module, /) -> tuple[str, ...]:
        """What to remark on the finished network; raises a TargetError where it misses the target."""
        ...
