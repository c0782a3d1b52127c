"""The channels whose contributions to the next layer cancel or vanish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from secateurs.arrays import alike, square
from secateurs.contracts import ArrayT, FloatArray, Order
from secateurs.errors import InputError
from secateurs.select.lowrank import first_smallest


def thinet(gram: FloatArray | Tensor) -> Order:
    r"""Grow the removed set T so that its joint contribution stays small.

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


def kept_factors(gram: ArrayT, kept: Sequence[int]) -> ArrayT:
    r"""Factors for the kept channels that bring the sum of their contributions back to y.

    $w = \arg\min \lVert y - X_S w \rVert^2$ with $y = X 1$: the least-squares rescaling of ThiNet,
    to be multiplied into the next layer's weights.

    Args:
        gram: $X^T X$ of the sampled contributions, shape (n, n).
        kept: The channels that stay.

    Returns:
        Shape (k,), in the order of `kept`.

    Raises:
        InputError: Not square, not symmetric, not finite, or kept names no, unknown or repeated channels.

    Cost:
        O(n k + k^3).

    Example:
        >>> import numpy as np
        >>> x = np.array([[1.0, 2.0], [2.0, 4.0]])
        >>> kept_factors(x.T @ x, [1])
        array([1.5])

    References:
        [luo2017thinet] ThiNet, ICCV 2017.
    """
    matrix = square(gram, "gram")
    stays = list(kept)
    if not stays or len(set(stays)) != len(stays) or min(stays) < 0 or max(stays) >= len(matrix):
        raise InputError(f"kept: need one or more different indices from 0 to {len(matrix) - 1}")
    index = torch.from_numpy(np.asarray(stays, dtype=np.int64)).to(matrix.device)
    part = matrix[index][:, index]
    target = matrix[index].sum(dim=1)
    return alike(torch.linalg.pinv(part, hermitian=True, rtol=1e-12) @ target, gram)


@dataclass(frozen=True)
class ThiNet:
    """Gram matrix of contributions (n, n) to an order of removal. See `thinet`."""

    def __call__(self, score: FloatArray | Tensor) -> Order:
        """(n, n) to all n units."""
        return thinet(score)
