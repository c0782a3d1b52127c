"""Channels that batch norm makes small do little."""

from __future__ import annotations

from dataclasses import dataclass

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT


def bn_scale(gamma: ArrayT) -> ArrayT:
    r"""Size of the factor that batch norm puts on each channel: $s_i = |\gamma_i|$.

    Args:
        gamma: Weight of the batch norm, shape (n,).

    Returns:
        Shape (n,).

    Raises:
        InputError: Not one axis, empty, or not finite.

    Cost:
        O(n).

    Example:
        >>> import numpy as np
        >>> bn_scale(np.array([-2.0, 0.5]))
        array([2. , 0.5])

    References:
        [liu2017slimming] Learning efficient convolutional networks through network slimming, ICCV 2017.
    """
    return alike(checked(gamma, "gamma", ndim=1).abs(), gamma)


@dataclass(frozen=True)
class BnScale:
    """Worth = size of the batch-norm factor, (n,) to (n,). See `bn_scale`."""

    def __call__(self, gamma: ArrayT) -> ArrayT:
        """(n,) to (n,)."""
        return bn_scale(gamma)
