"""Plans from counts or keep-sets: the last units of every order stay, and what is stored is cut to them.

In frames a layer's outputs leave first, and its inputs are ranked by the filters that are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from secateurs.contracts import IntArray, Ranking
from secateurs.graph import Graph
from secateurs.graph.slices import removed_positions
from secateurs.surgery.plan import Plan, make_step
from secateurs.surgery.remove import silence


def plan_from_counts(ranking: Ranking, counts: IntArray, target: Mapping[str, float]) -> Plan:
    """The plan in which group g keeps `counts[g]` units: the last of its order, `outputs_first` in frames."""
    return plan_of_orders(outputs_first(ranking, counts), counts, target)


def outputs_first(ranking: Ranking, counts: IntArray) -> Ranking:
    """The ranking in frames once the outputs that leave a layer are gone: its inputs ranked by the other filters.

    Args:
        ranking: From `rank`; without frames, or by a method that needs more than weights, it stays as it is.
        counts: Units that every group keeps.

    Cost:
        That of ranking the input sides, and a copy of the network.
    """
    graph: Graph = ranking.graph
    again = ranking.again
    if graph.form is None or again is None:
        return ranking
    pairs = [
        (graph.groups[i], graph.groups[o]) for i, o in graph.form.sides if counts[o] < graph.groups[o].size
    ]
    if not pairs:
        return ranking
    kept = dict(zip((g.name for g in graph.groups), counts.tolist(), strict=True))
    stays = {o.name: _last(ranking.orders[o.name].units, kept[o.name]) for _, o in pairs}
    left = silence(graph.model, removed_positions([o for _, o in pairs], stays, "producer"))
    anew = {i.name: again(left, i) for i, _ in pairs if kept[i.name] < i.size}
    return replace(ranking, orders={**ranking.orders, **anew})


def plan_of_orders(ranking: Ranking, counts: IntArray, target: Mapping[str, float]) -> Plan:
    """The plan in which group g keeps the last `counts[g]` units of its order, whatever leaves elsewhere."""
    graph: Graph = ranking.graph
    kept: dict[str, IntArray] = {}
    for group, count in zip(graph.groups, counts.tolist(), strict=True):
        if group.name in ranking.orders and count < group.size:
            kept[group.name] = _last(ranking.orders[group.name].units, count)
    return plan_from_keep(graph, kept, ranking.method, target)


def _last(units: Sequence[int], count: int) -> IntArray:
    return np.sort(np.array(units[len(units) - count :], dtype=np.int64))


def plan_from_keep(
    graph: Graph, kept: Mapping[str, IntArray], method: str, target: Mapping[str, float]
) -> Plan:
    """The plan of given keep-sets."""
    counts = graph.counts(kept)
    attributes = graph.attributes(kept)
    slices = graph.slices(kept)
    plain = graph.plain if slices else ()
    before = {} if graph.form is None else graph.form.before
    after = {} if graph.form is None else graph.form.after(counts)
    step = make_step(slices, graph.shapes, attributes=attributes, plain=plain, **before)
    return Plan(
        kept={name: tuple(units.tolist()) for name, units in kept.items()},
        sizes={group.name: group.size for group in graph.groups},
        steps=(step, make_step({}, {}, **after)) if after else (step,),
        method=method,
        target=dict(target),
        predicted={"macs": graph.costs.macs(counts), "params": graph.costs.params(counts)},
    )


def keep_of(plan_: Plan) -> dict[str, Any]:
    """Keep-sets as arrays, as `Graph` takes them."""
    return {name: np.array(units, dtype=np.int64) for name, units in plan_.kept.items()}
