"""Least-squares coefficients of removed filters in kept ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from secateurs.arrays import alike, checked, square
from secateurs.checks import shown
from secateurs.contracts import ArrayT
from secateurs.errors import InputError
from secateurs.select.omp import omp

_SINGULAR = 1e-12


def coefficients(filters: ArrayT, kept: Sequence[int], *, ridge: float = 0.0) -> ArrayT:
    r"""Least-squares coefficients of each removed filter in the kept ones.

    $\lambda_j = \arg\min \lVert f_j - \sum_{l \in S} \lambda_{jl} f_l \rVert^2
    + \rho \lVert \lambda_j \rVert^2$, of smallest norm where several are best. What read filter j
    then reads the kept ones:
    $z_l \mathrel{+}= \sum_j \lambda_{jl} z_j$.

    Args:
        filters: One filter a row, shape (n, d).
        kept: The filters that stay, in the order in which their columns are wanted.
        ridge: $\rho$ over the mean squared length of the kept filters.

    Returns:
        Shape (n - k, k): the removed filters by rising index, the kept ones as given.

    Raises:
        InputError: Not two axes, empty, not finite, or kept names no, unknown or repeated filters.

    Cost:
        O(n k d + k^3).

    Example:
        >>> import numpy as np
        >>> coefficients(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]), [0, 1])
        array([[3. , 0.5]])

    References:
        [joo2021lrf] Linearly replaceable filters for deep network channel pruning, AAAI 2021.
    """
    tensor = checked(filters, "filters")
    return alike(_solve(tensor @ tensor.T, list(kept), ridge), filters)


def coefficients_of_gram(gram: ArrayT, kept: Sequence[int], *, ridge: float = 0.0) -> ArrayT:
    """Least-squares coefficients as in `coefficients`, from the Gram matrix of filters or feature maps.

    Args:
        gram: Shape (n, n).
        kept: The units that stay.
        ridge: Over the mean diagonal entry of the kept units.

    Returns:
        Shape (n - k, k).

    Raises:
        InputError: Not square, not symmetric, not finite, or kept names no, unknown or repeated units.

    Cost:
        O(n k^2 + k^3).

    Example:
        >>> import numpy as np
        >>> coefficients_of_gram(np.array([[1.0, 2.0], [2.0, 4.0]]), [0])
        array([[2.]])
    """
    return alike(_solve(square(gram, "gram"), list(kept), ridge), gram)


def published_omp_coefficients(gram: ArrayT, kept: Sequence[int]) -> ArrayT:
    r"""Coefficients as the published code of FP-OMP applies them.

    They are fitted to the *normalised* filters with a ridge of 1,
    $\lambda_j = (\hat A \hat A^T + I)^{-1} \hat A \hat f_j$, but used on the filters as they are; and their columns
    stand in the order in which the pursuit chose the filters, but are used for the chosen filters by rising index.

    Args:
        gram: $F F^T$ of the filters, shape (n, n).
        kept: The filters that stay, by rising index; the pursuit (`omp` with `faithful`) says in which order.

    Returns:
        Shape (n - k, k): the removed filters by rising index; column l is used for the l-th of `kept`.

    Raises:
        InputError: Not square, not symmetric, not finite, or kept is empty, not rising or out of range.

    Cost:
        O(n^3 / 2).

    Example:
        >>> import numpy as np
        >>> f = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> published_omp_coefficients(f @ f.T, [0, 1])  # f_1 was chosen first, so the half goes to f_0
        array([[0.5, 0. ]])

    References:
        [purohit2022accurate]
    """
    matrix, index = square(gram, "gram"), [int(k) for k in kept]
    if index != sorted(set(index)) or index[-1:] >= [len(matrix)]:
        raise InputError(f"kept: got {shown(index)}; give different indices below {len(matrix)}, rising")
    length = matrix.diagonal().clamp(min=0.0).sqrt()
    scale = torch.where(length > 0, 1.0 / torch.where(length > 0, length, 1.0), 0.0)
    chosen = [unit for unit in reversed(omp(matrix, faithful=True).units) if unit in index]
    unit = matrix * scale[:, None] * scale
    return alike(_solve(unit, chosen, 0.0, noise=1.0), gram)


def _solve(gram: Tensor, kept: list[int], ridge: float, noise: float = 0.0) -> Tensor:
    n = len(gram)
    if not kept or len(set(kept)) != len(kept) or min(kept) < 0 or max(kept) >= n:
        raise InputError(
            f"kept: need one or more different indices from 0 to {n - 1}, got {len(kept)} of them"
        )
    if ridge < 0:
        raise InputError(f"ridge: got {ridge}; give 0 or a share of the mean squared length")
    index = torch.tensor(kept, device=gram.device)
    stays = torch.zeros(n, dtype=torch.bool, device=gram.device)
    stays[index] = True
    removed = (~stays).nonzero()[:, 0]
    left, right = gram[index][:, index], gram[index][:, removed]
    left.diagonal().add_(ridge * left.diagonal().mean() + noise)
    factor, failed = torch.linalg.cholesky_ex(left)
    pivots = factor.diagonal().square()
    if not int(failed) and bool((pivots > _SINGULAR * left.diagonal()).all()):
        return torch.cholesky_solve(right, factor).T
    values, vectors = torch.linalg.eigh(left)
    keep = values > _SINGULAR * values[-1].clamp(min=0.0)
    inverse = torch.where(keep, 1.0 / torch.where(keep, values, 1.0), 0.0)
    solution: Tensor = vectors @ (inverse[:, None] * (vectors.T @ right))
    return solution.T
