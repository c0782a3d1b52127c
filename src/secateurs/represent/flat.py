"""Filters as rows: all weights of each."""

from __future__ import annotations

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT


def flat(weights: ArrayT) -> ArrayT:
    r"""Each filter as one row: $f_i = \mathrm{vec}(W_i)$.

    Args:
        weights: One filter an entry, shape (n, c, t) for c input channels and t taps.

    Returns:
        Shape (n, c t), in the unit of the weights, float64.

    Raises:
        InputError: Not three axes, empty, or not finite.

    Cost:
        O(n c t), no copy where the input is float64.

    Example:
        >>> import numpy as np
        >>> flat(np.arange(8.0).reshape(2, 2, 2))
        array([[0., 1., 2., 3.],
               [4., 5., 6., 7.]])
    """
    tensor = checked(weights, "weights", ndim=3)
    return alike(tensor.reshape(tensor.shape[0], -1), weights)


def kernels(weights: ArrayT) -> ArrayT:
    """Each filter as it is, for measures that need to know its taps: (n, c, t).

    Args:
        weights: Shape (n, c, t).

    Returns:
        The same, float64.

    Raises:
        InputError: Not three axes, empty, or not finite.

    Cost:
        None where the input is float64.

    Example:
        >>> import numpy as np
        >>> kernels(np.ones((2, 1, 9))).shape
        (2, 1, 9)
    """
    return alike(checked(weights, "weights", ndim=3), weights)
