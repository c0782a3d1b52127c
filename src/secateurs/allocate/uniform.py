"""Every group loses the same share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateurs.allocate.sequence import merge_by_time, removable
from secateurs.contracts import IntArray, Ranking


@dataclass(frozen=True)
class Uniform:
    r"""The k-th of the n units of a group leaves at time $k / n$, whatever the method says of other groups.

    Example:
        >>> Uniform()
        Uniform()
    """

    def __call__(self, ranking: Ranking) -> IntArray:
        """Cost O(N log N) for N units."""
        times = {}
        for index, group in enumerate(ranking.graph.groups):
            if group.name in ranking.orders:
                order = ranking.orders[group.name]
                times[index] = np.arange(1, removable(order) + 1) / len(order.units)
        return merge_by_time(times)
