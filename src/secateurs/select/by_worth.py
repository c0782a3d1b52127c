"""The least worthy leave first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray, Order


def by_worth(worth: FloatArray | Tensor) -> Order:
    """Units by ascending worth, ties by index.

    Args:
        worth: Shape (n,), higher stays.

    Returns:
        All n units; damage is the worth itself where none is negative, else there is none.

    Raises:
        InputError: Not one axis, empty, or not finite.

    Cost:
        O(n log n).

    Example:
        >>> import numpy as np
        >>> by_worth(np.array([2.0, 1.0, 1.0])).units
        (1, 2, 0)
    """
    values = checked(worth, "worth", ndim=1).cpu()
    order = torch.argsort(values, stable=True)
    damage = tuple(values[order].tolist()) if float(values.min()) >= 0 else None
    return Order(tuple(order.tolist()), damage)


@dataclass(frozen=True)
class ByWorth:
    """Worth (n,) to an order of removal. See `by_worth`."""

    def __call__(self, score: FloatArray | Tensor) -> Order:
        """(n,) to all n units, the least worthy first."""
        return by_worth(score)
