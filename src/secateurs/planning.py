"""rank() and plan(): from a graph to orders of removal, and from orders and a target to a plan."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateurs.allocate.sequence import (
    Allocation,
    Stepwise,
    counts_after,
    in_blocks,
    shortest_prefix,
    whole_blocks,
)
from secateurs.allocate.uniform import Uniform
from secateurs.checks import check_allocation, check_kind, check_number, check_seed, check_shares, check_whole
from secateurs.contracts import IntArray, Order, Ranking
from secateurs.errors import InputError, TargetError
from secateurs.graph import Graph
from secateurs.methods import Method, check_data
from secateurs.surgery.plan import Plan, make_step
from secateurs.surgery.view import GroupView

# Blocks that may be too large to come back before `refilled` stops: of ResNet-20 and -56 with random weights, by
# 2 to 8 channels at a time, one leaves up to 7.5 % unspent, four at most 0.9 % (2.2 % by 16).
_MISSES = 4
TARGETS = ("macs", "params", "keep", "latency", "accuracy_drop")


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


def check_target(targets: Mapping[str, float | None]) -> tuple[str, float] | None:
    """The one target given, or None.

    Raises:
        InputError: several targets, something that is no number, or a share outside (0, 1].
    """
    given = [(name, value) for name, value in targets.items() if value is not None]
    if len(given) > 1:
        raise InputError(
            f"target: {' and '.join(name for name, _ in given)} are both given; give one of {', '.join(TARGETS)}."
        )
    for name, value in given:
        check_number(name, value)
        if name.endswith(("accuracy_drop", "accuracy-drop")):
            if not 0 <= value < 100:
                raise InputError(f"{name} is {value:g}; give points of accuracy (hundredths) from 0 to 100.")
        elif not 0 < value <= 1:
            raise InputError(
                f"{name} is {value:g}; a target is the share that stays: give a number in (0, 1]."
            )
    return (given[0][0], float(given[0][1])) if given else None


def plan(
    ranking: Ranking,
    *,
    macs: float | None = None,
    params: float | None = None,
    keep: float | None = None,
    allocate: Allocation | None = None,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
) -> Plan:
    """Keep-sets that meet a target from below, by the shortest prefix of the allocation's sequence.

    Args:
        ranking: From `rank`.
        macs: Share of the multiply-adds that stays, in (0, 1].
        params: Share of the parameters that stays.
        keep: Share of the units of the free groups that stays.
        allocate: Which group gives the next unit; `Uniform()` by default.
        round_to: Groups keep a multiple of this many units.
        layers: Exceptions by name: groups whose name matches a pattern (`layer1.*`) keep that share of their
            units whatever the target; the first pattern that matches counts.

    Returns:
        A plan; the model is not touched. Without a target, the method's own ratio.

    Raises:
        InputError: No target and no own ratio, several targets, or one outside (0, 1].
        TargetError: The target cannot be reached; says which can.

    Cost:
        O(N log N) for N units.
    """
    check_kind("ranking", ranking, Ranking, "what secateurs.rank(graph, method) returns")
    if allocate is not None:
        check_allocation(allocate, names=False)
    check_shares("layers", layers)
    target = check_target({"macs": macs, "params": params, "keep": keep})
    graph: Graph = ranking.graph
    if target is None:
        return _own_plan(ranking, round_to, layers or {})
    name, value = target
    queue = removals(ranking, allocate, round_to, layers, enough=_reached(graph, name, value))
    steps = steps_to(graph, queue, name, value)
    counts = refilled(queue, steps, _reached(graph, name, value))
    return plan_from_counts(ranking, counts, {name: value})


@dataclass(frozen=True)
class Queue:
    """The removals of an allocation: counts at the start, the group of each removal, blocks they come in."""

    start: IntArray
    sequence: IntArray
    multiple: int = 1

    def counts(self, steps: int) -> IntArray:
        """Units every group keeps after so many removals."""
        return whole_blocks(counts_after(self.sequence, steps, self.start), self.start, self.multiple)


def removals(
    ranking: Ranking,
    allocate: Allocation | None,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
    enough: Callable[[IntArray], bool] | None = None,
) -> Queue:
    """The sequence of an allocation, in blocks where counts are to be multiples, less the exceptions.

    An allocation that searches stops where the counts are `enough`.

    Raises:
        InputError: `round_to` below 1, a share outside (0, 1], or a pattern that matches no free group.
    """
    _check_multiple(round_to)
    sizes = ranking.graph.costs.sizes
    start, fixed = _exceptions(ranking, layers or {}, round_to)
    allocation = allocate or Uniform()
    if isinstance(allocation, Stepwise):
        allocation = allocation.until(
            enough or (lambda counts: False), start=start, fixed=tuple(fixed.tolist()), multiple=round_to
        )
    sequence = allocation(ranking)
    sequence = sequence[~np.isin(sequence, fixed)]
    return Queue(start, sequence if round_to == 1 else in_blocks(sequence, sizes, round_to), round_to)


def _exceptions(ranking: Ranking, layers: Mapping[str, float], multiple: int) -> tuple[IntArray, IntArray]:
    """Counts at the start, and the groups that stay at theirs."""
    start, fixed, unused = ranking.graph.costs.sizes.copy(), [], set(layers)
    for pattern, share in layers.items():
        if not 0 < share <= 1:
            raise InputError(f"layers: '{pattern}' is to keep {share:g}; give a share in (0, 1].")
    for index, group in enumerate(ranking.graph.groups):
        match = next((p for p in layers if fnmatch.fnmatchcase(group.name, p)), None)
        if group.name in ranking.orders and match is not None:
            start[index] = max(1, math.ceil(layers[match] * group.size - 1e-9))
            fixed.append(index)
            unused.discard(match)
    if unused:
        names = ", ".join(list(ranking.orders)[:8])
        raise InputError(
            f"layers: no free group matches '{sorted(unused)[0]}'; the free groups are {names}, ..."
        )
    return _rounded(start, ranking.graph.costs.sizes, multiple), np.array(fixed, dtype=np.int64)


def steps_to(graph: Graph, queue: Queue, name: str, value: float) -> int:
    """How many removals bring a cost down to a share of what it was.

    Raises:
        TargetError: not even all of them do.
    """
    cost = _cost(graph, name)
    whole = cost(graph.costs.sizes)
    steps = shortest_prefix(queue.sequence, queue.start, cost, limit_of(value, whole))
    if steps < 0:
        least = cost(queue.counts(len(queue.sequence))) / whole if whole else 1.0
        raise TargetError(
            f"{name} {value:g} cannot be reached: the smallest share this network can keep is {_up(least)} "
            f"({len(graph.locked)} of {len(graph.groups)} groups are locked; `secateurs inspect` says why)"
            f"{_held_back(graph, queue)}. Give a larger target."
        )
    return steps


def _held_back(graph: Graph, queue: Queue) -> str:
    """What the caller's own settings keep, in words."""
    fixed = bool((queue.start < graph.costs.sizes).any()) or len(queue.sequence) == 0
    free = {i for i, group in enumerate(graph.groups) if group.locked is None}
    kept = free - set(queue.sequence.tolist())
    words = []
    if kept and fixed:
        words.append(f"`layers` fixes or `round_to` {queue.multiple} keeps {len(kept)} of the others")
    elif queue.multiple > 1:
        words.append(f"`round_to` {queue.multiple} keeps at least so many units of each group")
    elif kept:
        words.append(f"`layers` fixes {len(kept)} of the others")
    return "; " + "; ".join(words) if words else ""


def refilled(queue: Queue, steps: int, enough: Callable[[IntArray], bool]) -> IntArray:
    """Give blocks back, the last removed first, that the last removals of a prefix made unnecessary.

    A block of channels that many layers share can cost several hundredths of the network, and the prefix that
    ends with it overshoots by as much. So that block stays removed, and blocks before it come back as long as the
    counts are still `enough`, until four did not fit. Single units (`multiple` 1) are left as they are.

    Keep-sets of two targets nest where the targets differ by more than those four blocks cost. Prefixes alone
    nest always, and nothing else can: any chain of nested keep-sets jumps by the whole cost of a block somewhere.

    Args:
        queue: From `removals`.
        steps: The shortest prefix that is enough, from `steps_to`.
        enough: Whether counts meet the target.

    Returns:
        Counts with at least as many units in every group as the prefix leaves.

    Cost:
        One evaluation of `enough` for every block that comes back, and four.
    """
    counts = queue.counts(steps)
    before, stuck, missed = counts.copy(), set(), 0
    for position in range(steps - 1, -1 if queue.multiple > 1 else steps - 1, -1):
        group = int(queue.sequence[position])
        more = counts.copy()
        more[group] = queue.counts(position)[group]
        if more[group] == before[group]:  # inside a block
            continue
        before[group] = more[group]
        if group not in stuck and enough(more):
            counts = more
            continue
        stuck.add(group)  # what left this group earlier comes back only after this
        missed += 1
        if missed == _MISSES:
            break
    return counts


def limit_of(share: float, whole: float) -> float:
    """What a share of a whole number may cost, less what rounding takes: 0.57 of 100 is 57.

    Example:
        >>> 0.57 * 100 >= 57, limit_of(0.57, 100) >= 57
        (False, True)
    """
    return share * whole * (1 + 1e-12) + 1e-9


def _up(share: float) -> str:
    """Rounded up, so that what is printed can be reached."""
    return f"{np.ceil(share * 1000) / 1000:.3f}"


def _cost(graph: Graph, name: str) -> Callable[[IntArray], float]:
    if name == "macs":
        return graph.costs.macs
    if name == "params":
        return graph.costs.params
    free = np.array([group.locked is None for group in graph.groups])
    return lambda counts: float(counts[free].sum())


def _reached(graph: Graph, name: str, value: float) -> Callable[[IntArray], bool]:
    cost = _cost(graph, name)
    limit = limit_of(value, cost(graph.costs.sizes))
    return lambda counts: cost(counts) <= limit


def _own_plan(ranking: Ranking, round_to: int, layers: Mapping[str, float]) -> Plan:
    orders = ranking.orders
    if not orders or any(order.own is None for order in orders.values()):
        raise InputError(
            f"target: '{ranking.method}' has no ratio of its own; say what share stays: macs, params, keep or latency."
        )
    _check_multiple(round_to)
    own = {name: order.own or 0 for name, order in orders.items()}
    counts = np.array([g.size - own.get(g.name, 0) for g in ranking.graph.groups])
    start, fixed = _exceptions(ranking, layers, round_to)
    counts[fixed] = start[fixed]
    return plan_from_counts(ranking, _rounded(counts, ranking.graph.costs.sizes, round_to), {})


def _check_multiple(round_to: int) -> None:
    check_whole("round_to", round_to)


def _rounded(counts: IntArray, sizes: IntArray, multiple: int) -> IntArray:
    """Up to the next multiple, but to no more than there are."""
    return np.minimum(sizes, -(-counts // multiple) * multiple)


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
    step = make_step(slices, graph.shapes, attributes=attributes, frames=graph.frames, plain=plain)
    whole = Plan(
        kept={name: tuple(units.tolist()) for name, units in kept.items()},
        sizes={group.name: group.size for group in graph.groups},
        steps=(step,),
        method=method,
        target=dict(target),
        predicted={"macs": graph.costs.macs(counts), "params": graph.costs.params(counts)},
    )
    return whole.folded(graph.costs.folds(counts))


def keep_of(plan_: Plan) -> dict[str, Any]:
    """Keep-sets as arrays, as `Graph` takes them."""
    return {name: np.array(units, dtype=np.int64) for name, units in plan_.kept.items()}


def order_of(units: IntArray, size: int) -> Order:
    """An order that removes everything but `units` first (for keep-sets found in other ways)."""
    rest = np.setdiff1d(np.arange(size), units)
    return Order((*rest.tolist(), *np.asarray(units).tolist()), own=len(rest))
