"""Backward elimination of filters by the error of approximating them all."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import square
from secateurs.contracts import FloatArray, Order
from secateurs.select.lowrank import Downdated, first_smallest, inverse
from secateurs.select.lrf import check_ridge, refresh_every

_TIE = 1e-12


def backward(gram: FloatArray | Tensor, *, ridge: float = 1e-8) -> Order:
    r"""Backward elimination: drop the filter that raises the error of approximating all filters least.

    With A the remaining filters (as columns), b all of them, and $G = (A^T A + \rho I)^{-1}$,
    dropping k raises $\sum_j \min_\lambda \lVert f_j - A \lambda_j \rVert^2$ by exactly
    $u_k = \lVert (A G_{:,k})^T b \rVert^2 / G_{kk}$; the smallest leaves.

    Both parts are kept up to date in closed form: with $\Lambda = G A^T b$,
    $u_k = (\Lambda \Lambda^T)_{kk} / G_{kk}$; G changes by a rank-one downdate and
    $\Lambda \Lambda^T$ by a rank-two one.

    Args:
        gram: $F F^T$ of the filters, shape (n, n).
        ridge: $\rho$ over the mean diagonal entry of `gram`; it keeps G finite where filters depend
            on each other. Zero filters and duplicates leave first, at no damage.

    Returns:
        All n units. Damage is the rise of the squared error when k leaves. Ties go to the lower index.

    Raises:
        InputError: Not square, not symmetric, not finite, or a ridge not above 0.

    Cost:
        O(n^3) time, as matrix products, and O(n^2) memory, beside the O(n^2 d) of the Gram matrix.

    Example:
        >>> import numpy as np
        >>> f = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> order = backward(f @ f.T)
        >>> order.units, np.round(order.damage, 6)
        ((1, 2, 0), array([0., 5., 9.]))

    References:
        [purohit2024hierarchical] A greedy hierarchical approach to whole-network filter-pruning in
        CNNs, TMLR 2024.
    """
    matrix = square(gram, "gram")
    check_ridge(ridge)
    n = len(matrix)
    unit = float(matrix.diagonal().mean())
    if unit <= 0:  # nothing but dead filters
        return Order(tuple(range(n)), (0.0,) * n)
    rho = ridge * unit
    alive = torch.ones(n, dtype=torch.bool, device=matrix.device)
    units: list[int] = []
    damage: list[float] = []
    for step in range(n):
        if step % refresh_every(n) == 0:
            precision, shares = _afresh(matrix, alive, rho)
        score = torch.where(alive, shares.diagonal / precision.diagonal, torch.inf)
        k = first_smallest(score, _TIE * unit)
        row, share = precision.row(k), shares.row(k)
        moved = torch.where(alive, row / row[k], 0.0)
        before = torch.where(alive, shares.diagonal, 0.0).sum()
        precision.add(-row, row / row[k])
        half = 0.5 * share[k] * moved - share
        shares.add(moved, half)
        shares.add(half, moved)
        alive[k] = False
        after = torch.where(alive, shares.diagonal, 0.0).sum()
        rise = score[k] - rho * (after - before)  # without the ridge's own share
        damage.append(max(0.0, float(rise)))
        units.append(k)
    return Order(tuple(units), tuple(damage))


def _afresh(gram: Tensor, alive: Tensor, rho: float) -> tuple[Downdated, Downdated]:
    index = alive.nonzero()[:, 0]
    part = gram[index][:, index]
    part.diagonal().add_(rho)
    precision = inverse(part)
    coefficients = precision @ gram[index]
    full, shares = torch.zeros_like(gram), torch.zeros_like(gram)
    full[index[:, None], index] = precision
    shares[index[:, None], index] = coefficients @ coefficients.T
    return Downdated(full), Downdated(shares)
