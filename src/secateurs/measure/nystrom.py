"""Nyström approximation of the cosine matrix of very many filters."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import alike, checked, normalise_rows
from secateurs.contracts import ArrayT, Factor, FloatArray, Traits
from secateurs.errors import InputError
from secateurs.measure.cosine import check_decimals, rounded

_RANK = 1e-10


def nystrom_factor(filters: ArrayT, *, columns: int | None = None, rank: int | None = None) -> ArrayT:
    r"""Factor B of the Nyström approximation $\tilde S = B B^T$ of the cosine matrix S.

    With $C = S_{:, :m}$, its first m columns, and $A = C_{:m}$ with best rank-k part $A_k$,
    $\tilde S = C A_k^+ C^T$; so $B = C V_k \Lambda_k^{-1/2}$ for $A = V \Lambda V^T$. As S has rank
    at most d, $\tilde S = S$ up to rounding once the first m filters span all of them.

    Args:
        filters: One filter a row, shape (n, d).
        columns: m, how many of the first filters to use. None takes the fewest that span all filters,
            so that nothing is lost.
        rank: k, at most m; None is m.

    Returns:
        Shape (n, r) with r the rank of $A_k$, at most min(m, d); one column of zeros where that is 0.

    Raises:
        InputError: Not two axes, empty, not finite, m not from 1 to n, or k not from 1 to m.

    Cost:
        O(n d^2) to find m where it is not given, then O(m^2 d + m^3 + n m d); memory O(n m).

    Example:
        >>> import numpy as np
        >>> f = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
        >>> b = nystrom_factor(f, columns=2)
        >>> (b @ b.T).round(3)
        array([[1. , 0. , 0.6],
               [0. , 1. , 0.8],
               [0.6, 0.8, 1. ]])

    References:
        [singh2023nystrom] Efficient similarity-based passive filter pruning for compressing CNNs,
        ICASSP 2023.
    """
    directions = normalise_rows(checked(filters, "filters"))
    m = _columns(directions, columns)
    if rank is not None and not 1 <= rank <= m:
        raise InputError(f"rank: got {rank}; give 1 to {m}, the number of columns")
    head = directions[:m]
    if m <= directions.shape[1]:
        values, vectors = torch.linalg.eigh(head @ head.T)
        values, vectors = values.flip(0)[:rank], vectors.flip(1)[:, :rank]
        kept = values > _RANK * values[0].clamp(min=1e-300)
        weights = head.T @ (vectors[:, kept] / values[kept].sqrt())  # (d, r)
    else:  # the same, from the smaller matrix: rows of B are coordinates along the head's own axes
        values, vectors = torch.linalg.eigh(head.T @ head)
        values, vectors = values.flip(0)[:rank], vectors.flip(1)[:, :rank]
        weights = vectors[:, values > _RANK * values[0].clamp(min=1e-300)]
    if not weights.shape[1]:  # filters of zeros: their likeness is 0
        weights = weights.new_zeros(len(weights), 1)
    return alike(directions @ weights, filters)


@Traits(scale=True, rotation=True)
def nystrom_cosine(
    filters: ArrayT, *, columns: int | None = None, rank: int | None = None, decimals: int | None = None
) -> ArrayT:
    r"""The Nyström approximation of the cosine matrix, written out: $\tilde S = B B^T$.

    Args:
        filters: One filter a row, shape (n, d).
        columns: m, see `nystrom_factor`.
        rank: k, see `nystrom_factor`.
        decimals: Round the distances $1 - \tilde s_{ij}$ to so many decimals; None leaves them.

    Returns:
        Shape (n, n), exactly symmetric.

    Raises:
        InputError: As `nystrom_factor`, or `decimals` outside 0 to 15.

    Cost:
        That of `nystrom_factor`, and O(n^2 m) to write it out.

    Example:
        >>> import numpy as np
        >>> nystrom_cosine(np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), columns=1) + 0.0
        array([[1.  , 0.  , 0.6 ],
               [0.  , 0.  , 0.  ],
               [0.6 , 0.  , 0.36]])

    References:
        [singh2023nystrom] Efficient similarity-based passive filter pruning for compressing CNNs,
        ICASSP 2023.
    """
    check_decimals(decimals)
    factor = nystrom_factor(checked(filters, "filters"), columns=columns, rank=rank)
    product = factor @ factor.T
    return alike(rounded((product + product.T) / 2, decimals), filters)


def nystrom(filters: FloatArray | Tensor, *, columns: int | None = None, rank: int | None = None) -> Factor:
    """The Nyström approximation of the cosine matrix as a `Factor`, never written out.

    Args:
        filters: One filter a row, shape (n, d).
        columns: m, see `nystrom_factor`.
        rank: k, see `nystrom_factor`.

    Returns:
        Rows (n, r), with the columns used and the spectral norm of the error.

    Raises:
        InputError: As `nystrom_factor`.

    Cost:
        That of `nystrom_factor` and of `nystrom_error`.

    Example:
        >>> nystrom(torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), columns=2).columns
        (2,)
    """
    tensor = checked(filters, "filters")
    m = _columns(normalise_rows(tensor), columns)
    rows = nystrom_factor(tensor, columns=m, rank=rank)
    return Factor(rows, (m,), nystrom_error(tensor, columns=m, rank=rank))


def nystrom_error(
    filters: FloatArray | Tensor, *, columns: int | None = None, rank: int | None = None
) -> float:
    r"""Spectral norm of the error of the Nyström approximation: $\delta = \lVert S - \tilde S \rVert_2$.

    $S - \tilde S = P P^T - B B^T$ is found from the (d + r) x (d + r) triangle of [P B] alone.

    Args:
        filters: One filter a row, shape (n, d).
        columns: m, see `nystrom_factor`.
        rank: k, see `nystrom_factor`.

    Returns:
        $\delta$, at least 0; at most n.

    Raises:
        InputError: As `nystrom_factor`.

    Cost:
        O(n (d + r)^2) time, O(n (d + r)) memory.

    Example:
        >>> import numpy as np
        >>> round(nystrom_error(np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), columns=1), 3)
        1.64

    References:
        [singh2023nystrom] Efficient similarity-based passive filter pruning for compressing CNNs,
        ICASSP 2023.
    """
    tensor = checked(filters, "filters")
    directions = normalise_rows(tensor)
    factor = nystrom_factor(tensor, columns=columns, rank=rank)
    triangle = torch.linalg.qr(torch.cat([directions, factor], dim=1), mode="r").R
    left, right = triangle[:, : directions.shape[1]], triangle[:, directions.shape[1] :]
    return float(torch.linalg.eigvalsh(left @ left.T - right @ right.T).abs().max())


def _columns(directions: Tensor, columns: int | None) -> int:
    n = len(directions)
    if columns is None:
        return _spanning(directions)
    if not 1 <= columns <= n:
        raise InputError(f"columns is {columns}; give 1 to {n}, the number of filters of the group")
    return columns


def _spanning(directions: Tensor) -> int:
    """The smallest m whose first m rows have the rank of all rows."""
    full = _rank(directions)
    low, high = max(1, full), len(directions)
    while low < high:
        middle = min((low + high) // 2, 2 * low)  # the answer is near `low` as a rule
        if _rank(directions[:middle]) == full:
            high = middle
        else:
            low = middle + 1
    return low


def _rank(rows: Tensor) -> int:
    small = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    values = torch.linalg.eigvalsh(small)
    return int((values > _RANK * values[-1].clamp(min=1e-300)).sum())
