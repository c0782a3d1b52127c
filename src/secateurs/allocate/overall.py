"""All units of the network in one queue, by the damage the method gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateurs.allocate.sequence import merge_by_time, removable
from secateurs.contracts import FloatArray, IntArray, Order, Ranking
from secateurs.errors import InputError


@dataclass(frozen=True)
class Global:
    r"""Units leave by rising damage over the whole network.

    The scales of layers differ, so a group's damages are divided by their mean. No group falls below the
    share `least` of its units before all have: a layer that is nearly gone cuts the network in two. Beyond
    that, and for methods without damages, shares fall together as in `Uniform`.

    Args:
        least: Smallest share of a group that stays while others can give, in [0, 1).
    """

    least: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.least < 1:
            raise InputError(f"least is {self.least}; give a share in [0, 1).")

    def __call__(self, ranking: Ranking) -> IntArray:
        """Cost O(N log N) for N units."""
        times = {}
        for index, group in enumerate(ranking.graph.groups):
            if group.name in ranking.orders:
                times[index] = self._times(ranking.orders[group.name])
        return merge_by_time(times)

    def _times(self, order: Order) -> FloatArray:
        n, steps = len(order.units), removable(order)
        shares = np.arange(1, steps + 1) / n
        if order.damage is None:
            return np.asarray(shares, dtype=np.float64)
        damage = np.asarray(order.damage, dtype=np.float64)
        mean = damage.mean()
        relative = damage[:steps] / mean if mean > 0 else np.zeros(steps)
        late = np.arange(1, steps + 1) > n - max(1, int(np.ceil(self.least * n)))
        queue = np.maximum.accumulate(relative) / (
            1 + np.maximum.accumulate(relative)
        )  # in [0, 1), order kept
        return np.asarray(np.where(late, 1.0 + shares, queue), dtype=np.float64)
