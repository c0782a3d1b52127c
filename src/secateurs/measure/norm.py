"""Norms of filters."""

from __future__ import annotations

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits


@Traits(scale=True, sign=True)
def l1_norm(filters: ArrayT) -> ArrayT:
    r"""Sum of the absolute weights of each filter: $s_i = \sum_k |f_{ik}|$.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), in the unit of the weights.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n d).

    Example:
        >>> import numpy as np
        >>> l1_norm(np.array([[1.0, -2.0], [0.0, 0.5]]))
        array([3. , 0.5])

    References:
        [li2017pruning] Pruning filters for efficient ConvNets, ICLR 2017.
    """
    return alike(checked(filters, "filters").abs().sum(dim=1), filters)


@Traits(scale=True, sign=True, rotation=True)
def l2_norm(filters: ArrayT) -> ArrayT:
    r"""Euclidean length of each filter: $s_i = \lVert f_i \rVert_2$.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), in the unit of the weights.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n d).

    Example:
        >>> import numpy as np
        >>> l2_norm(np.array([[3.0, -4.0], [0.0, 0.5]]))
        array([5. , 0.5])

    References:
        [he2018soft] Soft filter pruning for accelerating deep CNNs, IJCAI 2018.
    """
    return alike(checked(filters, "filters").norm(dim=1), filters)
