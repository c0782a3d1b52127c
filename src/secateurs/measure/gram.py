"""Gram matrix of the filters."""

from __future__ import annotations

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits


@Traits(scale=True, rotation=True)
def gram(filters: ArrayT) -> ArrayT:
    r"""Inner product of each pair of filters: $G_{ij} = f_i^T f_j$.

    Filters of coupled layers put side by side are the sum of their Gram matrices.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n, n), in the squared unit of the weights, exactly symmetric.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n^2 d), as one matrix product.

    Example:
        >>> import numpy as np
        >>> gram(np.array([[1.0, 2.0], [0.0, 1.0]]))
        array([[5., 2.],
               [2., 1.]])
    """
    tensor = checked(filters, "filters")
    product = tensor @ tensor.T
    return alike((product + product.T) / 2, filters)
