"""Several budgets at once, in shares or absolute: the plan meets all of them, one multiplier for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from secateurs.allocate.sequence import Allocation, shortest_prefix
from secateurs.contracts import FloatArray, IntArray, Ranking
from secateurs.errors import BudgetError, InputError
from secateurs.graph import Graph
from secateurs.meters.costs import count_costs
from secateurs.meters.layerwise import count_elementwise, element_uses
from secateurs.targets.amounts import Limit, in_words
from secateurs.targets.base import Attempt
from secateurs.targets.schedule import Cost, Schedule, exceptions, limit_of, refilled

_PARTS = {1: 1, 2: 8, 3: 4}  # multipliers are tried in parts of this much
_FINER = 3  # then around the best, so many times by half
_SLACK = 1 + 1e-12
_PER_CENT = 100  # who asks for so little may have meant per cent


@runtime_checkable
class Weighing(Protocol):
    """An allocation that divides damage by what a unit saves, and so can be told what that is."""

    def weighing(self, saved: FloatArray) -> Allocation:
        """The same where the next unit of group g saves saved[g]."""
        ...

    def lost(self, ranking: Ranking, counts: IntArray) -> float:
        """The damage where every group keeps so many units."""
        ...


@dataclass(frozen=True)
class Budgeted:
    """What came of one limit: its key, the most, and what the network costs before and after."""

    key: str
    limit: float
    before: float
    after: float

    @property
    def met(self) -> bool:
        """Whether the network is within it."""
        return self.after <= self.limit * _SLACK + 1e-6

    def __str__(self) -> str:
        return f"{self.after:,.0f} of at most {self.limit:,.0f} {in_words(self.key)}" + (
            "" if self.met else " (too much)"
        )


@dataclass(frozen=True, eq=False)
class _Side:
    """One limit on one network: the cost as a function of counts, and the most it may be."""

    limit: Limit
    cost: Cost
    excess: Cost
    most: float


@dataclass(frozen=True)
class Budgets:
    r"""Targets in what a plan predicts, in shares or absolute, all of which are met.

    Where the allocation divides damage by what a unit saves (`Sensitivity`), a unit of group g saves

    $$ s_g = \sum_k \lambda_k \frac{c_k(n) - c_k(n - e_g)}{c_k(n) - b_k} $$

    with the costs $c_k$, the budgets $b_k$ and a multiplier for each budget that binds, $\sum_k \lambda_k = 1$. The
    multipliers are those, of a grid refined around its best, whose shortest prefix that meets all budgets loses least.
    Of peak memory, what lies above the budget is summed over the operations. Any other allocation has one
    order, which is followed until all budgets are met.

    Attributes:
        limits: The budgets.
        preset: The name of the budget they are, "" for others.
        tighter: Less than each limit by so much, for what a repair adds.

    Example:
        >>> Budgets((Limit("macs", 30e6), Limit("size", 128e3, precision="int8"))).asked
        {'macs': 30000000.0, 'size:int8': 128000.0}
    """

    limits: tuple[Limit, ...]
    preset: str = ""
    tighter: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """What it is called."""
        return self.preset or " and ".join(limit.key for limit in self.limits)

    @property
    def value(self) -> float:
        """The first of the numbers that were asked for."""
        return self.limits[0].value

    @property
    def asked(self) -> dict[str, float]:
        """All numbers that were asked for, by what they are on record."""
        return {limit.key: limit.value for limit in self.limits}

    def counts(self, attempt: Attempt) -> IntArray:
        """The most units in every group with which all budgets are met.

        Raises:
            BudgetError: Not even all removals are enough; says what is.
            InputError: A budget needs an example, or something else that is missing.

        Cost:
            O(N log N) for N units, for every combination of multipliers that is tried (one for one budget).
        """
        sides = self._sides(attempt)

        def worst(counts: IntArray) -> float:
            return max(side.cost(counts) / side.most for side in sides)

        def enough(counts: IntArray) -> bool:
            return worst(counts) <= _SLACK

        sizes = attempt.ranking.graph.costs.sizes
        start, _ = exceptions(attempt.ranking, attempt.bounds)
        if enough(start):
            return start

        def tried(allocation: Allocation | None) -> tuple[IntArray, Schedule]:
            schedule = replace(attempt, allocate=allocation).schedule(enough)
            steps = shortest_prefix(schedule.sequence, schedule.start, worst, _SLACK)
            if steps < 0:
                raise self._unreachable(attempt, sides, schedule)
            return refilled(schedule, steps, enough), schedule

        given = attempt.allocate
        if not isinstance(given, Weighing):
            return tried(given)[0]
        binding = [side for side in sides if side.cost(sizes) > side.most]
        saved = np.stack([_saved(side, sizes) for side in binding or sides])

        def of(multipliers: Sequence[float]) -> tuple[float, IntArray]:
            counts, _ = tried(given.weighing(np.asarray(multipliers) @ saved))
            return given.lost(attempt.ranking, counts), counts

        return _least(of, len(saved))

    def remarks(self, attempt: Attempt, small: nn.Module) -> tuple[str, ...]:
        """Nothing: `report` has the numbers, and `prune` makes sure of them."""
        return ()

    def report(self, attempt: Attempt, small: nn.Module, counts: IntArray) -> tuple[Budgeted, ...]:
        """What each budget comes to: counted on the finished network itself, or by its plan what only a capture says.

        Args:
            attempt: What the plan was made from.
            small: The finished network.
            counts: Units that every group keeps in it.
        """
        sizes = attempt.ranking.graph.costs.sizes
        return tuple(
            Budgeted(side.limit.key, side.most, side.cost(sizes), _measured(side, attempt, small, counts))
            for side in (_side(limit, attempt) for limit in self.limits)
        )

    def missed(self, found: Sequence[Budgeted]) -> BudgetError:
        """What to say where a finished network is not within its budgets."""
        much = " and ".join(str(one) for one in found if not one.met)
        return BudgetError(
            f"{self.name}: the repaired network has {much}, as the repair has added biases; give compensate='none' or "
            "a smaller budget."
        )

    def tightened(self, found: Sequence[Budgeted]) -> Budgets:
        """The same, less by what a finished network has had too much of."""
        before = self.tighter or (0.0,) * len(found)
        more = tuple(b + max(0.0, one.after - one.limit) for b, one in zip(before, found, strict=True))
        return replace(self, tighter=more)

    def _sides(self, attempt: Attempt) -> list[_Side]:
        less = self.tighter or (0.0,) * len(self.limits)
        sides = [_side(limit, attempt) for limit in self.limits]
        return [replace(side, most=side.most - by) for side, by in zip(sides, less, strict=True)]

    def _unreachable(self, attempt: Attempt, sides: Sequence[_Side], schedule: Schedule) -> BudgetError:
        graph: Graph = attempt.ranking.graph
        least = schedule.counts(len(schedule.sequence))
        words = [f"{np.ceil(side.cost(least)):,.0f} {in_words(_absolute(side.limit))}" for side in sides]
        beyond = [side for side in sides if side.cost(least) > side.most * _SLACK] or sides
        asked = [f"{side.most:,.0f} {in_words(_absolute(side.limit))}" for side in beyond]
        share = ", or a share in (0, 1]" if min(side.most for side in beyond) <= _PER_CENT else ""
        return BudgetError(
            f"{self.name}: {' and '.join(asked)} cannot be reached: the smallest this network can come to is "
            f"{' and '.join(words)} ({len(graph.locked)} of {len(graph.groups)} groups are locked; "
            f"`secateurs inspect` says why). Give a larger budget{share}."
        )


def _absolute(limit: Limit) -> str:
    return replace(limit, share=False).key


def _least(of: Callable[[Sequence[float]], tuple[float, IntArray]], number: int) -> IntArray:
    """The counts that lose least, over a grid of multipliers and then around the best of it."""
    parts = _PARTS.get(number, 2)
    tried = {point: of(point) for point in _grid(number, parts)}
    step = 1 / parts
    for _ in range(_FINER if number > 1 else 0):
        step /= 2
        best = min(tried, key=lambda point: tried[point][0])
        for give, take in itertools.permutations(range(number), 2):
            moved = [*best]
            moved[give], moved[take] = moved[give] - step, moved[take] + step
            if moved[give] >= 0 and tuple(moved) not in tried:
                tried[tuple(moved)] = of(moved)
    return min(tried.values(), key=lambda found: found[0])[1]


def _grid(number: int, parts: int) -> Iterator[tuple[float, ...]]:
    """All multipliers that are whole parts and add up to one."""
    for chosen in itertools.product(range(parts + 1), repeat=number):
        if sum(chosen) == parts:
            yield tuple(part / parts for part in chosen)


def _saved(side: _Side, sizes: IntArray) -> FloatArray:
    """What the first unit of every group to leave saves of what is too much, shape (groups,)."""
    whole = side.excess(sizes)
    units = np.eye(len(sizes), dtype=np.int64)
    saved = np.array([whole - side.excess(sizes - unit) for unit in units])
    return np.asarray(saved / max(whole, 1e-12), dtype=np.float64)


def _side(limit: Limit, attempt: Attempt) -> _Side:
    """One limit on the network of an attempt.

    Raises:
        InputError: It needs an example and there is none, or memory is asked of a network in frames.
    """
    graph: Graph = attempt.ranking.graph
    each = limit.bytes_each
    if limit.name == "peak_memory":
        if graph.memory is None:
            raise InputError(
                "peak_memory is not known of a network in frames; leave out frame or the budget."
            )
        memory = graph.memory
        most = _most(limit, each * memory.peak())
        return _Side(
            limit,
            lambda counts: float(each * memory.peak(counts)),
            lambda counts: float(np.maximum(each * memory.alive(counts) - most, 0).sum()),
            most,
        )
    cost = _cost(limit, attempt)
    most = _most(limit, cost(graph.costs.sizes))
    return _Side(limit, cost, lambda counts: cost(counts) - most, most)


def _most(limit: Limit, whole: float) -> float:
    return limit_of(limit.value, whole) if limit.share else limit.value


def _cost(limit: Limit, attempt: Attempt) -> Cost:
    graph: Graph = attempt.ranking.graph
    costs, each = graph.costs, limit.bytes_each
    if limit.name == "macs":
        samples = _samples(attempt)
        return lambda counts: costs.macs(counts) / samples
    if limit.name in ("params", "size"):
        return lambda counts: float(each * costs.params(counts))
    if limit.name == "keep":
        free = np.array([group.locked is None for group in graph.groups])
        return lambda counts: float(counts[free].sum())
    if attempt.example is None:
        raise InputError(f"example is missing, on which {in_words(limit.name)} are found; give one input.")
    uses = element_uses(graph.model, attempt.example)
    return lambda counts: costs.weighted(uses, counts)


def _samples(attempt: Attempt) -> int:
    """How many samples the network was captured on, so that budgets are those of one."""
    example = attempt.example[0] if type(attempt.example) is list else attempt.example
    found = (x.shape[0] for x in tree_leaves(example) if isinstance(x, Tensor) and x.dim())
    return max(1, next(found, 1))


def _measured(side: _Side, attempt: Attempt, small: nn.Module, counts: IntArray) -> float:
    """What the finished network costs: counted on itself, but for what only a capture says."""
    limit, example = side.limit, attempt.example
    if limit.name in ("params", "size"):
        return float(limit.bytes_each * sum(p.numel() for p in small.parameters()))
    if example is None or limit.name in ("keep", "peak_memory"):
        return side.cost(counts)
    if limit.name == "macs":
        return float(count_costs(small, example).macs)
    return float(count_elementwise(small, example))


def within(name: str, found: Sequence[Budgeted]) -> str:
    """The budgets and what became of them, in one sentence.

    Example:
        >>> within("dcase2025:int8", [Budgeted("size:int8", 128e3, 2e5, 1e5)])
        'dcase2025:int8: legal: 100,000 of at most 128,000 bytes of parameters at int8'
    """
    verdict = "legal" if all(one.met for one in found) else "not legal"
    lead = f"{name}: {verdict}" if name else "budgets"
    return f"{lead}: {'; '.join(map(str, found))}"


def made(limits: Sequence[Limit], name: Any = "") -> Budgets:
    """The target of some limits, each of another cost.

    Raises:
        InputError: Two limits are of the same cost.
    """
    keys = [limit.name for limit in limits]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is given, and in budget, too; give it once.")
    return Budgets(tuple(limits), name or "")
