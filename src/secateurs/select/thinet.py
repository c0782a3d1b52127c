"""Greedy selection by joint contribution to the next layer: ThiNet."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import square
from secateurs.contracts import FloatArray, Order
from secateurs.select.lowrank import first_smallest


def thinet(gram: FloatArray | Tensor) -> Order:
    r"""Greedily grow the removed set T with the smallest joint contribution to the next layer.

    Outputs of the next layer, sampled at places m, are sums of channel contributions,
    $y_m = \sum_c x_{mc}$. Removed next is the channel with the least $\sum_m (\sum_{c \in T} x_{mc})^2$
    afterwards. With the Gram matrix $X^T X$ of the contributions that is
    $E(T \cup c) = E(T) + 2 \sum_{t \in T} G_{tc} + G_{cc}$, so samples are not looked at again.

    Args:
        gram: $X^T X$ of the sampled contributions (samples, n), shape (n, n).

    Returns:
        All n units. Damage is the rise of $E$; 0 where it falls, as contributions cancel.

    Raises:
        InputError: Not square, not symmetric, or not finite.

    Cost:
        O(n^2) beside the O(samples n^2) of the Gram matrix.

    Example:
        >>> import numpy as np
        >>> x = np.array([[3.0, 1.0, -2.5]])
        >>> thinet(x.T @ x).units
        (1, 2, 0)

    References:
        [luo2017thinet] ThiNet: a filter level pruning method for deep neural network compression, ICCV 2017.
    """
    matrix = square(gram, "gram")
    n = len(matrix)
    rise = matrix.diagonal().clone()  # of E, were the channel removed next
    tie = 1e-12 * float(rise.clamp(min=0.0).mean())
    units: list[int] = []
    damage: list[float] = []
    for _ in range(n):
        k = first_smallest(rise, tie)
        damage.append(max(0.0, float(rise[k])))
        units.append(k)
        rise += 2.0 * matrix[k]
        rise[k] = torch.inf
    return Order(tuple(units), tuple(damage))
