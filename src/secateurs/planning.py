"""rank() and plan(): from a graph to orders of removal, and from orders and a target to a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from secateurs import allocate as allocations
from secateurs import methods
from secateurs.allocate.sequence import Allocation
from secateurs.checks import (
    check_allocation,
    check_kind,
    check_number,
    check_seed,
    check_shares,
    shown,
)
from secateurs.contracts import Example, Group, IntArray, Loader, Order, Place, Ranking, Redundant
from secateurs.data.batches import batches
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.layers.group_weights import GroupView, NormEntries
from secateurs.layers.redundant import redundant
from secateurs.looking import Observed
from secateurs.meters.named import metric_of
from secateurs.meters.scoring import Metric
from secateurs.methods import Method
from secateurs.plans import plan_from_counts
from secateurs.surgery.plan import Plan
from secateurs.targets.base import Attempt, Target
from secateurs.targets.budgets import Budgets
from secateurs.targets.given import bounds_for, no_target, one_target
from secateurs.targets.latency import LatencyTarget
from secateurs.targets.schedule import exceptions, rounded
from secateurs.targets.widths import RoundTo


@dataclass(frozen=True, eq=False)
class _Seen:
    """One group as a method sees it: its weights, what a look at the data has left of it, and a seed."""

    view: GroupView
    statistic: Any
    seed: int
    place: Place

    @property
    def producers(self) -> Sequence[Tensor]:
        return self.view.producers

    @property
    def consumers(self) -> Sequence[Tensor]:
        return self.view.consumers

    @property
    def norms(self) -> Sequence[NormEntries]:
        return self.view.norms

    @property
    def redundant(self) -> Redundant:
        return redundant(self.view)


def rank(
    graph: Graph,
    method: str | Method | Callable[..., Any],
    stats: Observed | Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
) -> Ranking:
    """Order of removal for every free group; no budget yet.

    Args:
        graph: From `trace(model, example)`.
        method: What to rank by: whatever `methods.get` takes.
        stats: For methods that look at data: what `observe` returned, or by group name the statistic that the method
            needs, None for a group that could not be looked at.
        seed: For methods that draw.

    Returns:
        One order a group, each of all its units: first those that the consumers can do without (`contracts.Redundant`),
        at damage 0, then the others as the method ranks them; methods that are `faithful` know no such rule. Notes
        say how many those are, and which groups could not be ranked by the method.

    Raises:
        InputError: The method needs data and there are none, a group is missing among them, or an argument is of the
            wrong kind.

    Cost:
        That of the method's measure, once per layer that produces channels.

    Example:
        >>> from torch import nn, zeros
        >>> from secateurs.graph import trace
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        >>> graph = trace(net, zeros(1, 3, 8, 8))
        >>> len(rank(graph, "l1-norm").orders["0"].units)
        4
    """
    check_kind("graph", graph, Graph, "what secateurs.trace(model, example) returns")
    chosen = methods.get(method)
    if isinstance(stats, Observed):
        stats = stats.of(chosen)
    if stats is not None:
        check_kind("stats", stats, Mapping, "what secateurs.observe returns, or a statistic by group name")
    check_seed(seed)
    methods.check_data(chosen, stats is not None or chosen.search is not None)
    orders = {}
    for i, group in enumerate(graph.free):
        statistic = None if chosen.statistic is None else _of_group(group.name, chosen, stats or {})
        seen = _seen(graph, graph.model, i, statistic, seed)
        orders[group.name] = _complete(chosen.order_of(seen), group, chosen.name)
    return ranking_of(graph, chosen, orders, seed)


def ranking_of(graph: Graph, method: Method, orders: Mapping[str, Order], seed: int) -> Ranking:
    """The ranking of a graph by a method whose orders are known."""
    again = _Again(method, graph, seed) if method.statistic is None else None
    return Ranking(graph, orders, method.name, method.procedure.rounding, again, method.faithful)


@dataclass(frozen=True, eq=False)
class _Again:
    """Ranks the units of a group that are left, in the network as it is then."""

    method: Method
    graph: Graph
    seed: int

    def __call__(self, model: nn.Module, group: Group) -> Order:
        index = next(i for i, free in enumerate(self.graph.free) if free.name == group.name)
        seen = _seen(self.graph, model, index, None, self.seed, group)
        return _complete(self.method.order_of(seen), group, self.method.name)


def _seen(
    graph: Graph, model: nn.Module, index: int, statistic: Any, seed: int, left: Group | None = None
) -> _Seen:
    """The free group of this index, or what is left of it, with the weights that `model` has."""
    group = graph.free[index]
    view = GroupView(model, left or group, norms_after=graph.norms)
    return _Seen(view, statistic, seed * 1_000_003 + index, Place(index, len(graph.free), group.size))


def _of_group(name: str, method: Method, stats: Mapping[str, Any]) -> Any:
    if name not in stats:
        found = ", ".join(shown(key) for key in list(stats)[:6]) or "none"
        raise InputError(
            f"stats: nothing of group '{name}', of which '{method.name}' needs {method.statistic}; the keys are "
            f"{found}. Give an entry for every free group, None where it cannot be looked at."
        )
    return stats[name]


def _complete(order: Any, group: Group, method: str) -> Order:
    if not isinstance(order, Order) or sorted(order.units) != list(range(group.size)):
        units = f"units {shown(str(list(order.units)))}" if isinstance(order, Order) else shown(order)
        raise InputError(
            f"method: '{method}' ranked group '{group.name}' by {units}; it has to return an Order of all {group.size} "
            "units, each once, as secateurs.select.by_worth does."
        )
    return order


def about_ranking(ranking: Ranking) -> tuple[str, ...]:
    """Which groups a method could not look at, and what ranked them instead, in one sentence.

    Args:
        ranking: From `rank`.

    Example:
        >>> note = {"ranked by": "l2-norm", "because": "no layer shows feature maps of this group"}
        >>> about_ranking(Ranking(None, {"a": Order((0,), notes=note), "b": Order((0,))}, "hrank"))
        ('hrank could not look at 1 of 2 groups (a), which l2-norm ranked: no layer shows feature maps of this group',)
    """
    instead = {name: note for name, note in ranking.notes.items() if "ranked by" in note}
    if not instead:
        return ()
    names = ", ".join(list(instead)[:4]) + (", ..." if len(instead) > 4 else "")
    note = next(iter(instead.values()))
    return (
        f"{ranking.method} could not look at {len(instead)} of {len(ranking.orders)} groups ({names}), which "
        f"{note['ranked by']} ranked: {note['because']}",
    )


def plan(
    ranking: Ranking,
    *,
    macs: float | str | None = None,
    params: float | str | None = None,
    keep: float | None = None,
    size: float | str | None = None,
    peak_memory: float | str | None = None,
    budget: str | None = None,
    latency: LatencyTarget | None = None,
    accuracy_drop: float | None = None,
    target: Target | None = None,
    allocate: str | Allocation | None = None,
    round_to: RoundTo = "auto",
    layers: Mapping[str, float] | None = None,
    example: Example | None = None,
    holdout: Loader | None = None,
    metric: str | Metric | None = None,
) -> Plan:
    """Keep-sets that meet a target from below, by the shortest prefix of the allocation's sequence.

    Args:
        ranking: From `rank`.
        macs: Share of the multiply-adds that stays, in (0, 1], or their largest number (`30e6`, `"30M"`). What is
            counted (this and the five below) may be given together; all are met.
        params: Share of the parameters that stays, or their largest number.
        keep: Share of the units of the free groups that stays.
        size: Most bytes of parameters, `"128kB:int8"`, or the share that stays; see `targets.amounts.limit_given`.
        peak_memory: Most bytes of activations alive at once; see `graph.memory.ActivationMemory`.
        budget: The name of a budget: "dcase2025"; see `targets.amounts.preset`.
        latency: Share of the latency that stays, measured on `example`; see `targets.Latency`.
        accuracy_drop: Points of accuracy that may go, measured on `holdout`; see `targets.AccuracyDrop`.
        target: A target of your own; see `targets.Target`.
        allocate: Which group gives the next unit, by name or as an object; uniform by default.
        round_to: Groups keep a multiple of this many units; 1 leaves widths free. "auto" gives each group the
            multiple that runs fast and moves it little (`targets.widths.multiples`), where a cost or an accuracy is
            the target; `keep`, methods that are `faithful` and their own ratios stay exact.
        layers: Exceptions by name: groups whose name matches a pattern (`layer1.*`) keep that share of their
            units whatever the target; the first pattern that matches counts.
        example: One input, for targets that run candidates.
        holdout: Samples that nothing else has seen, for targets that measure accuracy.
        metric: Instead of accuracy: a name, or from outputs and labels to a number; see `evaluate`.

    Returns:
        A plan; the model is not touched. Without a target, the method's own ratio.

    Raises:
        InputError: No target and no own ratio, several targets, or one outside (0, 1].
        TargetError: The target cannot be reached; says which can.

    Cost:
        O(N log N) for N units, and what a measured target costs.

    Example:
        >>> import torch
        >>> from secateurs import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
        >>> made = plan(rank(trace(net, torch.zeros(1, 2)), "l1-norm"), keep=0.5, allocate="global")
        >>> len(made.kept["0"]), made.sizes["0"]
        (2, 4)
    """
    check_kind("ranking", ranking, Ranking, "what secateurs.rank(graph, method) returns")
    if allocate is not None:
        check_allocation(allocate, names=True)
    check_shares("layers", layers)
    given = {
        "macs": macs,
        "params": params,
        "keep": keep,
        "size": size,
        "peak_memory": peak_memory,
        "budget": budget,
        "latency": latency,
        "accuracy_drop": accuracy_drop,
        "target": target,
    }
    held = None if holdout is None else list(batches(holdout, 64))
    allocation = None if allocate is None else allocations.get(allocate)
    asked = one_target(given)
    bounds = bounds_for(asked, ranking, round_to, layers)
    return plan_for(asked, Attempt(ranking, allocation, bounds, example, held, metric_of(metric)))


def plan_for(target: Target | None, attempt: Attempt) -> Plan:
    """The plan of a target, or of the method's own ratio where there is none.

    Raises:
        InputError: The method has no ratio of its own.
        TargetError: The target cannot be reached.
    """
    if target is None:
        return _own_plan(attempt)
    counts = _counts(target, target.counts(attempt), attempt.ranking.graph)
    if isinstance(target, Budgets):
        return attempt.plan(counts, target.asked)
    return attempt.plan(counts, {target.name: check_number("target", target.value)})


def _counts(target: Target, found: Any, graph: Graph) -> IntArray:
    """What a target returned, which may be the user's own: a whole number of units for every group."""
    sizes = graph.costs.sizes
    counts = np.asarray(found) if isinstance(found, (list, tuple, np.ndarray)) else None
    if counts is None or counts.shape != sizes.shape or counts.dtype.kind not in "iu":
        raise InputError(
            f"target: '{target.name}' returned {shown(found)}; return the units that each of the {len(sizes)} groups "
            "keeps, as whole numbers."
        )
    if (counts < 1).any() or (counts > sizes).any():
        raise InputError(
            f"target: '{target.name}' keeps {shown(counts.tolist())} units; each group keeps at least one, and at most "
            f"{shown(sizes.tolist())}."
        )
    return counts.astype(np.int64)


def _own_plan(attempt: Attempt) -> Plan:
    ranking: Ranking = attempt.ranking
    orders, graph = ranking.orders, ranking.graph
    if not orders or any(order.own is None for order in orders.values()):
        raise no_target(ranking.method)
    own = {name: order.own or 0 for name, order in orders.items()}
    counts = np.array([g.size - own.get(g.name, 0) for g in graph.groups])
    start, fixed = exceptions(ranking, attempt.bounds)
    counts[fixed] = start[fixed]
    return plan_from_counts(ranking, rounded(counts, graph.costs.sizes, attempt.bounds.given), {})
