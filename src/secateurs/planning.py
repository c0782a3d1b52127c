"""rank() and plan(): from a graph to orders of removal, and from orders and a target to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from secateurs import allocate as allocations
from secateurs.allocate.sequence import Allocation
from secateurs.checks import check_allocation, check_kind, check_seed, check_shares, check_whole
from secateurs.contracts import Loader, Ranking
from secateurs.data.batches import batches
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.meters.scoring import Metric
from secateurs.methods import Method, check_data
from secateurs.plans import plan_from_counts
from secateurs.surgery.plan import Plan
from secateurs.surgery.view import GroupView
from secateurs.targets.base import Attempt, Target
from secateurs.targets.given import one_target
from secateurs.targets.latency import LatencyTarget
from secateurs.targets.schedule import exceptions, rounded


def rank(graph: Graph, method: Method, stats: Mapping[str, Any] | None = None, *, seed: int = 0) -> Ranking:
    """Order of removal for every free group; no budget yet.

    Args:
        graph: From `trace(model, example)`.
        method: What to rank by.
        stats: What the method's look at the data left of each group (`observe.glances`), by group name.
        seed: For methods that draw.

    Returns:
        One order a group, each of all its units.

    Raises:
        InputError: The method needs data and there are none, or an argument is of the wrong kind.

    Cost:
        That of the method's measure, once per layer that makes channels.
    """
    check_kind("graph", graph, Graph, "what secateurs.trace(model, example) returns")
    check_kind("method", method, Method, "a Method, such as secateurs.methods.get('l1-norm')")
    if stats is not None:
        check_kind("stats", stats, Mapping, "what was seen of each group, by its name")
    check_seed(seed)
    check_data(method, stats is not None or method.search is not None)
    orders, notes = {}, {}
    for i, group in enumerate(graph.free):
        view = GroupView(graph.model, group, None if stats is None else stats.get(group.name))
        orders[group.name] = method.order(view, seed * 1_000_003 + i)
        if method.notes is not None:
            notes[group.name] = method.notes(view)
    return Ranking(graph, orders, method.name, notes)


def plan(
    ranking: Ranking,
    *,
    macs: float | None = None,
    params: float | None = None,
    keep: float | None = None,
    latency: LatencyTarget | None = None,
    accuracy_drop: float | None = None,
    target: Target | None = None,
    allocate: str | Allocation | None = None,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
    example: Any = None,
    holdout: Loader | None = None,
    metric: Metric | None = None,
) -> Plan:
    """Keep-sets that meet a target from below, by the shortest prefix of the allocation's sequence.

    Args:
        ranking: From `rank`.
        macs: Share of the multiply-adds that stays, in (0, 1].
        params: Share of the parameters that stays.
        keep: Share of the units of the free groups that stays.
        latency: Share of the latency that stays, measured on `example`; see `targets.Latency`.
        accuracy_drop: Points of accuracy that may go, measured on `holdout`; see `targets.AccuracyDrop`.
        target: A target of your own; see `targets.Target`.
        allocate: Which group gives the next unit, by name or as an object; uniform by default.
        round_to: Groups keep a multiple of this many units.
        layers: Exceptions by name: groups whose name matches a pattern (`layer1.*`) keep that share of their
            units whatever the target; the first pattern that matches counts.
        example: One input, for targets that run candidates.
        holdout: Samples that nothing else has seen, for targets that measure accuracy.
        metric: From outputs and labels to a number, instead of accuracy.

    Returns:
        A plan; the model is not touched. Without a target, the method's own ratio.

    Raises:
        InputError: No target and no own ratio, several targets, or one outside (0, 1].
        TargetError: The target cannot be reached; says which can.

    Cost:
        O(N log N) for N units, and what a measured target costs.

    Example:
        >>> import torch
        >>> from secateurs import methods, trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
        >>> made = plan(rank(trace(net, torch.zeros(1, 2)), methods.get("l1-norm")), keep=0.5, allocate="global")
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
        "latency": latency,
        "accuracy_drop": accuracy_drop,
        "target": target,
    }
    held = None if holdout is None else list(batches(holdout, 64))
    allocation = None if allocate is None else allocations.get(allocate)
    attempt = Attempt(ranking, allocation, round_to, layers, example, held, metric)
    return plan_for(one_target(given), attempt)


def plan_for(target: Target | None, attempt: Attempt) -> Plan:
    """The plan of a target, or of the method's own ratio where there is none.

    Raises:
        InputError: The method has no ratio of its own.
        TargetError: The target cannot be reached.
    """
    if target is None:
        return _own_plan(attempt)
    return plan_from_counts(attempt.ranking, target.counts(attempt), {target.name: float(target.value)})


def _own_plan(attempt: Attempt) -> Plan:
    ranking: Ranking = attempt.ranking
    orders, graph = ranking.orders, ranking.graph
    if not orders or any(order.own is None for order in orders.values()):
        raise InputError(
            f"target: '{ranking.method}' has no ratio of its own; say what share stays: macs, params, keep or latency."
        )
    check_whole("round_to", attempt.round_to)
    own = {name: order.own or 0 for name, order in orders.items()}
    counts = np.array([g.size - own.get(g.name, 0) for g in graph.groups])
    start, fixed = exceptions(ranking, attempt.layers or {}, attempt.round_to)
    counts[fixed] = start[fixed]
    return plan_from_counts(ranking, rounded(counts, graph.costs.sizes, attempt.round_to), {})
