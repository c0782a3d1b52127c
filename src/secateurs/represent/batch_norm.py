"""The factor that batch norm puts on each channel."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, FloatArray
from secateurs.errors import InputError


def batch_norm_scale(gamma: ArrayT, variance: FloatArray | Tensor, *, eps: float = 1e-5) -> ArrayT:
    r"""Factor that batch norm multiplies each channel with: $\gamma_i / \sqrt{\sigma_i^2 + \epsilon}$.

    Args:
        gamma: Weight of the batch norm, shape (n,).
        variance: Its running variance, shape (n,).
        eps: Its constant.

    Returns:
        Shape (n,), signed.

    Raises:
        InputError: Shapes differ, a variance is negative, or entries are not finite.

    Cost:
        O(n).

    Example:
        >>> import numpy as np
        >>> batch_norm_scale(np.array([2.0, -1.0]), np.array([4.0, 1.0]), eps=0.0)
        array([ 1., -1.])
    """
    weight, spread = checked(gamma, "gamma", ndim=1), checked(variance, "variance", ndim=1)
    if weight.shape != spread.shape:
        raise InputError(
            f"gamma and variance: {len(weight)} and {len(spread)} channels; take both from one layer"
        )
    if float(spread.min()) < 0 or eps < 0 or float(spread.min()) + eps == 0:
        raise InputError(
            "variance: variance + eps must be positive in every channel; check the running statistics"
        )
    return alike(weight / torch.sqrt(spread.to(weight.device) + eps), gamma)
