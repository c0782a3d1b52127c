"""An allocation is a sequence: which group loses its next unit, again and again.

A target is met by the shortest prefix of the sequence, so keep-sets nest as the target shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from secateurs.contracts import FloatArray, IntArray, Order, Ranking

Multiple: TypeAlias = int | IntArray
"""Of how many units a group keeps a multiple: one number for all groups, or one for each, shape (groups,)."""


class Allocation(Protocol):
    """Sees all groups and what they cost, and says in which order groups lose units."""

    def __call__(self, ranking: Ranking, /) -> IntArray:
        """Indices into `ranking.graph.groups`, one for every unit that may leave, in order."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """An allocation that works its way down, and so wants to know when it is enough."""

    def until(
        self,
        enough: Callable[[IntArray], bool],
        *,
        start: IntArray,
        fixed: tuple[int, ...],
        multiple: Multiple,
    ) -> Allocation:
        """The same, from the counts `start` until `enough(counts)`; `fixed` groups stay as they start.

        Groups keep a `multiple` of so many units: one for all, or one for each.
        """
        ...


def merge_by_time(times: Mapping[int, FloatArray]) -> IntArray:
    """Merge per-group removal times into one sequence; ties go to the group that comes first.

    Args:
        times: For every group index, the times of its removals, made non-decreasing.

    Returns:
        The group of every removal, earliest first.

    Cost:
        O(N log N) for N units.

    Example:
        >>> merge_by_time({0: np.array([0.5, 1.0]), 1: np.array([0.7])}).tolist()
        [0, 1, 0]
    """
    groups = np.concatenate([np.full(len(t), g) for g, t in times.items()] or [np.zeros(0, dtype=np.int64)])
    when = np.concatenate([np.maximum.accumulate(t) for t in times.values()] or [np.zeros(0)])
    return groups[np.lexsort((groups, when))].astype(np.int64)


def counts_after(sequence: IntArray, steps: int, sizes: IntArray) -> IntArray:
    """Units every group keeps after the first `steps` removals."""
    result: IntArray = sizes - np.bincount(sequence[:steps], minlength=len(sizes))
    return result


def shortest_prefix(
    sequence: IntArray, sizes: IntArray, cost: Callable[[IntArray], float], limit: float
) -> int:
    """The fewest removals after which `cost(counts)` is at most `limit`; -1 if all of them are too few.

    Cost:
        O(log N) evaluations, as a cost only falls.

    Example:
        >>> shortest_prefix(np.array([0, 1, 0]), np.array([3, 2]), lambda counts: float(counts.sum()), 3)
        2
    """
    if cost(counts_after(sequence, len(sequence), sizes)) > limit:
        return -1
    low, high = 0, len(sequence)
    while low < high:
        middle = (low + high) // 2
        if cost(counts_after(sequence, middle, sizes)) <= limit:
            high = middle
        else:
            low = middle + 1
    return low


def in_blocks(
    sequence: IntArray, sizes: IntArray, multiple: Multiple, *, ends_free: bool = False
) -> IntArray:
    """Let units of a group leave together, so that it always keeps a multiple of `multiple` (or all).

    The last removal of each block takes the whole block. Groups that are smaller than `multiple` stay whole, and
    no group falls below it, unless it `ends_free`: the units of the last block then leave one by one.

    Example:
        >>> in_blocks(np.array([0, 1, 0, 1, 0]), np.array([4, 3]), 2).tolist()
        [1, 0, 0]
        >>> in_blocks(np.array([0, 1, 0, 1, 0]), np.array([4, 3]), np.array([2, 1]), ends_free=True).tolist()
        [1, 0, 0, 1, 0]
    """
    each = np.broadcast_to(multiple, sizes.shape).tolist()
    left = sizes.copy()
    waiting = np.zeros_like(sizes)
    result: list[int] = []
    for group in sequence.tolist():
        waiting[group] += 1
        kept = left[group] - waiting[group]
        if kept > 0 and (kept % each[group] == 0 or (ends_free and left[group] <= each[group])):
            result.extend([group] * int(waiting[group]))
            left[group] -= waiting[group]
            waiting[group] = 0
    return np.array(result, dtype=np.int64)


def whole_blocks(counts: IntArray, sizes: IntArray, multiple: Multiple) -> IntArray:
    """Counts after a prefix of `in_blocks`, with the block that the prefix ends in taken whole.

    Counts below one block are those of a group that `ends_free`.

    Example:
        >>> whole_blocks(np.array([7, 5]), np.array([16, 5]), 4).tolist()
        [4, 5]
    """
    return np.where((counts < sizes) & (counts >= multiple), counts - counts % multiple, counts)


def removable(order: Order) -> int:
    """How many units of a group may leave: all but one."""
    return len(order.units) - 1
