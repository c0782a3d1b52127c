"""Size of the batch-norm factors: network slimming."""

from __future__ import annotations

from secateurs.arrays import alike, two_columns
from secateurs.contracts import ArrayT, Traits


@Traits(scale=True, sign=True)
def bn_scale(entries: ArrayT) -> ArrayT:
    r"""Size of the factor that batch norm puts on each channel: $s_i = |\gamma_i|$.

    Args:
        entries: Bias and weight (beta, gamma) of a batch norm, shape (n, 2); see `represent.BatchNorms`.

    Returns:
        Shape (n,).

    Raises:
        InputError: Not of shape (n, 2), empty, or not finite.

    Cost:
        O(n).

    Example:
        >>> import numpy as np
        >>> bn_scale(np.array([[1.0, -2.0], [0.0, 0.5]]))
        array([2. , 0.5])

    References:
        [liu2017slimming] Learning efficient convolutional networks through network slimming, ICCV 2017.
    """
    return alike(two_columns(entries)[:, 1].abs(), entries)
