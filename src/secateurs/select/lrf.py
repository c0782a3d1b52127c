"""Elimination of linearly replaceable filters (LRF)."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import square
from secateurs.contracts import FloatArray, Order
from secateurs.errors import InputError
from secateurs.select.lowrank import Downdated, first_smallest, inverse

_TIE = 1e-12
_ROUNDING = 1e-11  # of the mean squared length: less than that is no damage


def lrf(
    gram: FloatArray | Tensor, *, outgoing: FloatArray | Tensor | None = None, ridge: float = 1e-8
) -> Order:
    r"""Backward elimination: remove the filter that the remaining ones replace best by a linear combination.

    With $\lambda_j$ the least-squares coefficients of $f_j$ in the other remaining filters and
    $\epsilon_j = f_j - \sum_l \lambda_{jl} f_l$, the filter with the smallest
    $\lVert \epsilon_j \rVert \lVert z_j \rVert$ leaves; $z_j$ are the weights that read it, and the
    others take over: $z_l \mathrel{+}= \lambda_{jl} z_j$.

    No system is solved a candidate: with $P = (F F^T + \rho I)^{-1}$ over the remaining filters,
    $\lVert \epsilon_j \rVert^2 = 1/P_{jj}$ and $\lambda_{jl} = -P_{jl}/P_{jj}$, and removing j is a
    rank-one downdate of P. The small $\rho$ keeps P finite where filters depend on each other:
    zero filters and duplicates leave first, at no damage.

    Args:
        gram: $F F^T$ of the filters (or of anything else that is to be replaced), shape (n, n).
        outgoing: $Z^T Z$ of the weights that read the units, shape (n, n). None is the identity, as
            in the paper, where an identity convolution is put behind the layer.
        ridge: $\rho$ over the mean diagonal entry of `gram`.

    Returns:
        All n units. Damage is $\lVert \epsilon_j \rVert \lVert z_j \rVert$ when j leaves. Ties go to
        the lower index.

    Raises:
        InputError: Not square, not symmetric, not finite, sizes that differ, or a ridge not above 0.

    Cost:
        O(n^3) time, as matrix products, and O(n^2) memory, beside the O(n^2 d) of the Gram matrix.

    Example:
        >>> import numpy as np
        >>> f = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> lrf(f @ f.T).units
        (1, 0, 2)

    References:
        [joo2021lrf] Linearly replaceable filters for deep network channel pruning, AAAI 2021.
    """
    matrix = square(gram, "gram")
    reads = torch.eye(len(matrix), dtype=matrix.dtype) if outgoing is None else square(outgoing, "outgoing")
    if reads.shape != matrix.shape:
        raise InputError(
            f"outgoing: {len(reads)} units, but gram has {len(matrix)}; take both from one group"
        )
    check_ridge(ridge)
    return _eliminate(matrix, reads.to(matrix.device), ridge)


def check_ridge(ridge: float) -> None:
    """Raise an InputError unless the ridge is above 0 and at most 1.

    Args:
        ridge: A share of the mean diagonal entry.

    Raises:
        InputError: Out of range.

    Example:
        >>> check_ridge(1e-8)
    """
    if not 0 < ridge <= 1:
        raise InputError(
            f"ridge: got {ridge}; give a share of the mean diagonal entry, above 0 and at most 1"
        )


def refresh_every(n: int) -> int:
    """Number of downdates after which the inverse is recomputed, against rounding.

    Args:
        n: Number of units.

    Returns:
        A number of steps.

    Example:
        >>> refresh_every(2048)
        256
    """
    return max(64, n // 8)


def _eliminate(gram: Tensor, reads: Tensor, ridge: float) -> Order:
    n = len(gram)
    unit = float(gram.diagonal().mean())
    if unit <= 0:  # nothing but dead filters
        return Order(tuple(range(n)), (0.0,) * n)
    rho, tie = ridge * unit, _TIE * unit * float(reads.diagonal().mean())
    alive = torch.ones(n, dtype=torch.bool, device=gram.device)
    outgoing = Downdated(reads)
    units: list[int] = []
    damage: list[float] = []
    for step in range(n):
        if step % refresh_every(n) == 0:
            precision = Downdated(_inverse_of(gram, alive, rho))
        residual = (1.0 / precision.diagonal - rho).clamp(min=0.0)
        score = torch.where(alive, residual * outgoing.diagonal, torch.inf)
        k = first_smallest(score, tie)
        row = precision.row(k)
        taken = torch.where(alive, -row / row[k], 0.0)
        taken[k] = 0.0
        left = 1.0 / row[k] - rho * (1.0 + taken @ taken)  # without the ridge's own share
        left = torch.where(left > _ROUNDING * unit, left, 0.0)
        damage.append(float((left * outgoing.diagonal[k].clamp(min=0.0)).sqrt()))
        precision.add(-row, row / row[k])
        reader = outgoing.row(k)
        half = reader + 0.5 * reader[k] * taken
        outgoing.add(taken, half)
        outgoing.add(half, taken)
        alive[k] = False
        units.append(k)
    return Order(tuple(units), tuple(damage))


def _inverse_of(gram: Tensor, alive: Tensor, rho: float) -> Tensor:
    index = alive.nonzero()[:, 0]
    part = gram[index][:, index]
    part.diagonal().add_(rho)
    full = torch.zeros_like(gram)
    full[index[:, None], index] = inverse(part)
    return full
