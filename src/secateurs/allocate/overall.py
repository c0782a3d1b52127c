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
        _check(self.least)

    def __call__(self, ranking: Ranking) -> IntArray:
        """Cost O(N log N) for N units."""
        return merge_by_time(
            {i: _times(order, _mean(order), self.least) for i, order in _by_index(ranking).items()}
        )


@dataclass(frozen=True)
class Threshold:
    r"""One level of damage for the whole network: the least $\tau$ whose removals reach the target.

    Every group loses the units whose damage, in the method's own units, is below $\tau$; a target then finds
    $\tau$. This is how papers with a threshold share a budget out. It suits measures that mean the same in every
    layer (cosines, similarities of maps); others had better be compared within their groups, as by `Global`.

    Args:
        least: Smallest share of a group that stays while others can give, in [0, 1).

    Raises:
        InputError: A share outside [0, 1); when called, a method that gives no damages.

    References:
        [zhang2019channel]
    """

    least: float = 0.1

    def __post_init__(self) -> None:
        _check(self.least)

    def __call__(self, ranking: Ranking) -> IntArray:
        """Cost O(N log N) for N units."""
        if any(order.damage is None for order in ranking.orders.values()):
            raise InputError(
                f"allocate: 'threshold' compares damages, and '{ranking.method}' only gives an order; use 'uniform'."
            )
        return merge_by_time({i: _times(order, 1.0, self.least) for i, order in _by_index(ranking).items()})


def _check(least: float) -> None:
    if not 0 <= least < 1:
        raise InputError(f"least is {least}; give a share in [0, 1).")


def _by_index(ranking: Ranking) -> dict[int, Order]:
    groups = enumerate(ranking.graph.groups)
    return {i: ranking.orders[group.name] for i, group in groups if group.name in ranking.orders}


def _mean(order: Order) -> float:
    return float(np.mean(order.damage)) if order.damage is not None else 0.0


def _times(order: Order, scale: float, least: float) -> FloatArray:
    n, steps = len(order.units), removable(order)
    shares = np.arange(1, steps + 1) / n
    if order.damage is None:
        return np.asarray(shares, dtype=np.float64)
    relative = np.asarray(order.damage, dtype=np.float64)[:steps] / scale if scale > 0 else np.zeros(steps)
    late = np.arange(1, steps + 1) > n - max(1, int(np.ceil(least * n)))
    risen = np.maximum.accumulate(relative)
    return np.asarray(
        np.where(late, 1.0 + shares, risen / (1 + risen)), dtype=np.float64
    )  # in [0, 1), order kept
