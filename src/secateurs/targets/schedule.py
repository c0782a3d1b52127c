"""Removal schedules: the sequence in which an allocation takes units, and how much of it a target needs."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from secateurs.allocate.found import Found
from secateurs.allocate.search import Search
from secateurs.allocate.sequence import (
    Allocation,
    Multiple,
    Stepwise,
    counts_after,
    in_blocks,
    removable,
    shortest_prefix,
    whole_blocks,
)
from secateurs.allocate.uniform import Uniform
from secateurs.checks import check_multiple, shown
from secateurs.compensate.base import name_of
from secateurs.contracts import IntArray, Ranking
from secateurs.errors import InputError, TargetError
from secateurs.graph import Graph
from secateurs.targets.widths import FAST, FREE, RoundTo, multiples

# Blocks that may be too large to come back before `refilled` stops: of ResNet-20 and -56 with random weights, by
# 2 to 8 channels at a time, one leaves up to 7.5 % unspent, four at most 0.9 % (2.2 % by 16).
_MISSES = 4


Cost: TypeAlias = Callable[[IntArray], float]
"""From the units that every group keeps to what the network then costs."""


@dataclass(frozen=True)
class Bounds:
    """What holds whatever the target.

    Attributes:
        round_to: Groups keep a multiple of this many units, or by "auto" each of its own (`widths.multiples`).
        layers: Groups whose name matches a pattern keep that share of their units; the first that matches counts.
    """

    round_to: RoundTo = FREE
    layers: Mapping[str, float] | None = None

    @property
    def given(self) -> int:
        """What widths that were asked for themselves are rounded to: by "auto" they are not.

        Raises:
            InputError: `round_to` is neither "auto" nor a whole number from 1.
        """
        found = check_multiple("round_to", self.round_to)
        return FREE if found == "auto" else found


NO_BOUNDS = Bounds()


@dataclass(frozen=True)
class Schedule:
    """The removals of an allocation: counts at the start, the group of each removal, blocks they come in.

    `multiple` is an array where each group has its own, as `round_to` "auto" has it; the last block of each group
    then leaves unit by unit, so that what can be reached is what free widths can reach.

    `search` is what one found, where the allocation is a search.
    """

    start: IntArray
    sequence: IntArray
    multiple: Multiple = FREE
    search: Found | None = None

    def counts(self, steps: int) -> IntArray:
        """Units every group keeps after so many removals."""
        return whole_blocks(counts_after(self.sequence, steps, self.start), self.start, self.multiple)


def removals(
    ranking: Ranking,
    allocate: Allocation | None,
    bounds: Bounds = NO_BOUNDS,
    enough: Callable[[IntArray], bool] | None = None,
) -> Schedule:
    """The sequence of an allocation, in blocks where counts are to be multiples, less the exceptions.

    An allocation that searches stops where the counts are `enough`.

    Raises:
        InputError: `round_to` below 1, a share outside (0, 1], or a pattern that matches no free group.
    """
    sizes = ranking.graph.costs.sizes
    multiple = multiples(bounds.round_to, sizes)
    start, fixed = exceptions(ranking, bounds)
    allocation = allocate or Uniform()
    if isinstance(allocation, Stepwise):
        allocation = allocation.until(
            enough or (lambda counts: False), start=start, fixed=tuple(fixed.tolist()), multiple=multiple
        )
    search = allocation.find(ranking) if isinstance(allocation, Search) else None
    sequence = _checked(search.sequence if search else allocation(ranking), ranking, name_of(allocation))
    sequence = sequence[~np.isin(sequence, fixed)]
    whole = in_blocks(sequence, sizes, multiple, ends_free=bounds.round_to == "auto")
    return Schedule(start, whole, multiple, search)


def _checked(sequence: Any, ranking: Ranking, name: str) -> IntArray:
    """A sequence of group indices, none of which is locked or loses all its units."""
    found = np.asarray(sequence) if isinstance(sequence, (list, tuple, np.ndarray)) else None
    if found is None or found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise InputError(
            f"allocate: '{name}' returned {shown(sequence)}; return group indices, one for every unit that may leave."
        )
    groups = ranking.graph.groups
    most = np.array([removable(ranking.orders[g.name]) if g.name in ranking.orders else 0 for g in groups])
    inside = len(found) == 0 or (found.min() >= 0 and found.max() < len(groups))
    if not inside or (np.bincount(found.astype(np.int64), minlength=len(groups)) > most).any():
        raise InputError(
            f"allocate: '{name}' takes units that may not leave; of the {len(groups)} groups, at most "
            f"{', '.join(f'{m} of {g.name}' for g, m in zip(groups, most, strict=True) if m)} units may."
        )
    return found.astype(np.int64)


def exceptions(ranking: Ranking, bounds: Bounds) -> tuple[IntArray, IntArray]:
    """Counts at the start, and the groups that stay at theirs.

    Raises:
        InputError: `round_to` below 1, a share outside (0, 1], or a pattern that matches no free group.
    """
    layers = bounds.layers or {}
    start, fixed, unused = ranking.graph.costs.sizes.copy(), [], set(layers)
    for pattern, share in layers.items():
        if not 0 < share <= 1:
            raise InputError(f"layers: '{pattern}' is to keep {share:g}; give a share in (0, 1].")
    for index, group in enumerate(ranking.graph.groups):
        match = next((p for p in layers if fnmatch.fnmatchcase(group.name, p)), None)
        if group.name in ranking.orders and match is not None:
            start[index] = count_of(layers[match], group.size, ranking.rounding)
            fixed.append(index)
            unused.discard(match)
    if unused:
        names = ", ".join(list(ranking.orders)[:8])
        whole = {g.name: g.locked for g in ranking.graph.groups if fnmatch.fnmatchcase(g.name, min(unused))}
        if whole:
            name, why = next(iter(whole.items()))
            raise InputError(
                f"layers: '{min(unused)}' asks for units of groups that stay whole: '{name}' {why}; leave it out. The "
                f"free groups are {names}, ..."
            )
        raise InputError(
            f"layers: no free group matches '{sorted(unused)[0]}'; the free groups are {names}, ..."
        )
    return rounded(start, ranking.graph.costs.sizes, bounds.given), np.array(fixed, dtype=np.int64)


def count_of(share: float, size: int, rounding: str) -> int:
    """How many of some units a share is, by the rule of the method (`methods.Procedure`); never none.

    Example:
        >>> count_of(0.7, 16, "kept up"), count_of(0.7, 16, "removed")
        (12, 11)
    """
    if rounding == "removed":  # rounded to 9 places first, so that 1 - 0.95 of 10 is a half and not more
        return max(1, size - round(round((1 - share) * size, 9)))
    return max(1, math.ceil(share * size - 1e-9))


def steps_to(graph: Graph, schedule: Schedule, name: str, value: float, cost: Cost) -> int:
    """How many removals bring a cost down to a share of what it was.

    Args:
        graph: The one whose groups are counted.
        schedule: The removals.
        name: What the target is called, for the message.
        value: The share.
        cost: From counts to what the network then costs.

    Raises:
        TargetError: not even all of them do.
    """
    whole = cost(graph.costs.sizes)
    steps = shortest_prefix(schedule.sequence, schedule.start, cost, limit_of(value, whole))
    if steps < 0:
        least = cost(schedule.counts(len(schedule.sequence))) / whole if whole else 1.0
        raise TargetError(
            f"{name} {value:g} cannot be reached: the smallest share this network can keep is {_up(least)} "
            f"({len(graph.locked)} of {len(graph.groups)} groups are locked; `secateurs inspect` says why)"
            f"{_held_back(graph, schedule)}. Give a larger target."
        )
    return steps


def _held_back(graph: Graph, schedule: Schedule) -> str:
    """What the caller's own settings keep, in words."""
    fixed = bool((schedule.start < graph.costs.sizes).any()) or len(schedule.sequence) == 0
    free = {i for i, group in enumerate(graph.groups) if group.locked is None}
    kept = free - set(schedule.sequence.tolist())
    multiple = schedule.multiple if isinstance(schedule.multiple, int) else FREE
    words = []
    if kept and fixed:
        words.append(f"`layers` fixes or `round_to` {multiple} keeps {len(kept)} of the others")
    elif multiple > 1:
        words.append(f"`round_to` {multiple} keeps at least so many units of each group")
    elif kept:
        words.append(f"`layers` fixes {len(kept)} of the others")
    return "; " + "; ".join(words) if words else ""


def refilled(schedule: Schedule, steps: int, enough: Callable[[IntArray], bool]) -> IntArray:
    """Give blocks back, the last removed first, that the last removals of a prefix made unnecessary.

    A block of channels that many layers share can cost several hundredths of the network, and the prefix that
    ends with it overshoots by as much. So that block stays removed, and blocks before it come back as long as the
    counts are still `enough`, until four did not fit. Where all units are single (`multiple` 1) they are left as they
    are. Where groups have multiples of their own, single units of the free ones come back as well, it ends when of
    every group a block did not fit, and what is left is given out by eights: less stays unspent than the cheapest of
    these costs.

    Keep-sets of two targets nest where the targets differ by more than those four blocks cost. Prefixes alone
    nest always, and nothing else can: any chain of nested keep-sets jumps by the whole cost of a block somewhere.

    Args:
        schedule: From `removals`.
        steps: The shortest prefix that is enough, from `steps_to`.
        enough: Whether counts meet the target.

    Returns:
        Counts with at least as many units in every group as the prefix leaves.

    Cost:
        One evaluation of `enough` for every block that comes back, and four, or one a group.
    """
    counts = schedule.counts(steps)
    before, stuck, missed = counts.copy(), set(), 0
    own = not isinstance(schedule.multiple, int)
    groups = set(schedule.sequence[:steps].tolist())
    for position in range(steps - 1, -1 if np.any(schedule.multiple > FREE) else steps - 1, -1):
        group = int(schedule.sequence[position])
        if own and group in stuck:
            continue
        more = counts.copy()
        more[group] = schedule.counts(position)[group]
        if more[group] == before[group]:  # inside a block
            continue
        before[group] = more[group]
        if group not in stuck and enough(more):
            counts = more
            continue
        stuck.add(group)  # what left this group earlier comes back only after this
        missed += 1
        if missed == (len(groups) if own else _MISSES):
            break
    return _by_least(schedule, counts, enough) if own else counts


def _by_least(schedule: Schedule, counts: IntArray, enough: Callable[[IntArray], bool]) -> IntArray:
    """Give back as many units at a time as the smallest multiple has, to the groups that lost units last first."""
    least = FAST[0]
    own = np.broadcast_to(schedule.multiple, counts.shape)
    for group in dict.fromkeys(schedule.sequence[::-1].tolist()):
        if own[group] <= least or counts[group] % least:
            continue
        more = counts.copy()
        more[group] += least
        while more[group] <= schedule.start[group] and enough(more):
            counts = more.copy()
            more[group] += least
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


def rounded(counts: IntArray, sizes: IntArray, multiple: int) -> IntArray:
    """Up to the next multiple, but to no more than there are."""
    return np.minimum(sizes, -(-counts // multiple) * multiple)
