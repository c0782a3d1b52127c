"""Plans from counts or keep-sets: the last units of every order stay, and what is stored is cut to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from secateurs.contracts import IntArray, Ranking
from secateurs.graph import Graph
from secateurs.surgery.plan import Plan, make_step


def plan_from_counts(ranking: Ranking, counts: IntArray, target: Mapping[str, float]) -> Plan:
    """The plan in which group g keeps the last `counts[g]` units of its order."""
    graph: Graph = ranking.graph
    kept: dict[str, IntArray] = {}
    for group, count in zip(graph.groups, counts.tolist(), strict=True):
        if group.name in ranking.orders and count < group.size:
            kept[group.name] = np.sort(
                np.array(ranking.orders[group.name].units[group.size - count :], dtype=np.int64)
            )
    return plan_from_keep(graph, kept, ranking.method, target)


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
