"""Degree centrality of filters in the graph of cosines."""

from __future__ import annotations

import torch

from secateurs.arrays import alike, checked, normalise_rows
from secateurs.contracts import ArrayT, Traits

_BLOCK = 2**24  # entries of one block of cosines: 128 MiB


@Traits(scale=True, rotation=True)
def weighted_degree(filters: ArrayT) -> ArrayT:
    r"""Sum of the signed cosines of each filter with all others.

    $\mathrm{WDC}(i) = \sum_{j \ne i} s_{ij} = p_i^T \sum_j p_j - 1$, so no matrix is needed.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), between -(n - 1) and n - 1; 0 for filters of zeros.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n d).

    Example:
        >>> import numpy as np
        >>> weighted_degree(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
        array([1., 1., 0.])

    References:
        [king2023compressing] Compressing audio CNNs with graph centrality based filter pruning,
        WASPAA 2023.
    """
    directions = normalise_rows(checked(filters, "filters"))
    own = (directions * directions).sum(dim=1)
    return alike(directions @ directions.sum(dim=0) - own, filters)


@Traits(scale=True, sign=True, rotation=True)
def absolute_degree(filters: ArrayT) -> ArrayT:
    r"""Sum of the absolute cosines of each filter with all others: $\sum_{j \ne i} |s_{ij}|$.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), between 0 and n - 1.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n^2 d) time, O(n d) memory: the matrix is never held.

    Example:
        >>> import numpy as np
        >>> absolute_degree(np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]]))
        array([1., 1., 0.])

    References:
        [king2023compressing] Compressing audio CNNs with graph centrality based filter pruning,
        WASPAA 2023.
    """
    directions = normalise_rows(checked(filters, "filters"))
    own = (directions * directions).sum(dim=1)
    rows = max(1, _BLOCK // len(directions))
    sums = [
        (directions[start : start + rows] @ directions.T).abs().sum(dim=1)
        for start in range(0, len(directions), rows)
    ]
    return alike(torch.cat(sums) - own, filters)
