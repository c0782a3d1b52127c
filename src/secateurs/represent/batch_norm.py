"""A filter together with the factor that batch norm puts on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, FloatArray, Represent
from secateurs.errors import InputError
from secateurs.represent.flat import Flat


def batch_norm_scale(gamma: ArrayT, variance: FloatArray | Tensor, *, eps: float = 1e-5) -> ArrayT:
    r"""What batch norm multiplies each channel with: $\gamma_i / \sqrt{\sigma_i^2 + \epsilon}$.

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


def batch_norm_folded(weights: ArrayT, scale: FloatArray | Tensor) -> ArrayT:
    r"""Each filter times its batch-norm factor: $W_i \gamma_i / \sqrt{\sigma_i^2 + \epsilon}$.

    Args:
        weights: Shape (n, c, t).
        scale: Shape (n,), see `batch_norm_scale`.

    Returns:
        Shape (n, c, t).

    Raises:
        InputError: Not three axes, another number of factors than filters, or not finite.

    Cost:
        O(n c t).

    Example:
        >>> import numpy as np
        >>> batch_norm_folded(np.ones((2, 1, 2)), np.array([2.0, -1.0])).reshape(2, 2)
        array([[ 2.,  2.],
               [-1., -1.]])
    """
    tensor, factor = checked(weights, "weights", ndim=3), checked(scale, "scale", ndim=1)
    if len(factor) != len(tensor):
        raise InputError(
            f"scale: {len(factor)} factors for {len(tensor)} filters; take it from their batch norm"
        )
    return alike(tensor * factor.to(tensor.device)[:, None, None], weights)


@dataclass(frozen=True)
class BatchNormFolded:
    """Another representation, of the filters times their batch-norm factors. See `batch_norm_folded`."""

    scale: tuple[float, ...] = field(repr=False)
    of: Represent = field(default_factory=Flat)

    def __call__(self, weights: ArrayT) -> ArrayT:
        """(n, c, t) to (n, d)."""
        return self.of(batch_norm_folded(weights, torch.tensor(self.scale, dtype=torch.float64)))
