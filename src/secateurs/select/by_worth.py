"""Orders by a score of every unit."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray, Order


def by_redundancy(redundancy: FloatArray | Tensor) -> Order:
    """Units by descending redundancy, ties by index: what is common or central leaves first.

    Args:
        redundancy: Shape (n,), lower stays.

    Returns:
        All n units, without damage.

    Raises:
        InputError: Not one axis, empty, or not finite.

    Cost:
        O(n log n).

    Example:
        >>> import numpy as np
        >>> by_redundancy(np.array([2.0, 3.0, 3.0])).units
        (1, 2, 0)
    """
    return by_worth(0.0 - checked(redundancy, "redundancy", ndim=1))  # not -0.0, as damage


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
