"""Every group loses the same share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateurs.allocate.sequence import merge_by_time, removable
from secateurs.contracts import IntArray, Ranking


@dataclass(frozen=True)
class Uniform:
    r"""The k-th of the n units of a group leaves at time $k / n$, whatever the method says of other groups.

    For methods whose paper rounds the number that leaves it is $(k - 1/2) / n$: so up to time p round(p n) leave.

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
                first = 0.5 if ranking.rounding == "removed" else 1.0
                times[index] = (np.arange(removable(order)) + first) / len(order.units)
        return merge_by_time(times)
