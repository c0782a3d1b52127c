"""Distance of each filter to all others: filter pruning via geometric median (FPGM)."""

from __future__ import annotations

import torch

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits
from secateurs.measure.euclidean import distance_blocks


@Traits(scale=True, shift=True, rotation=True)
def distance_to_all(filters: ArrayT) -> ArrayT:
    r"""Sum of the Euclidean distances from each filter to all the others.

    $s_i = \sum_j \lVert f_i - f_j \rVert_2$, which is smallest at the filter nearest the geometric
    median of the set.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), in the unit of the weights; 0 where all filters are equal.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n^2 d) time, O(n d) memory: the distance matrix is never held.

    Example:
        >>> import numpy as np
        >>> distance_to_all(np.array([[3.0], [-3.0], [1.0]]))
        array([ 8., 10.,  6.])

    References:
        [he2019fpgm] Filter pruning via geometric median, CVPR 2019.
    """
    tensor = checked(filters, "filters")
    return alike(torch.cat([block.sum(dim=1) for _, block in distance_blocks(tensor)]), filters)
