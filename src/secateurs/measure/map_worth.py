"""Feature maps that carry much, or that the loss depends on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, FloatArray
from secateurs.errors import InputError
from secateurs.measure.map_mean import MapMean


def rank_sum(maps: FloatArray | Tensor) -> MapMean:
    r"""Numerical rank of each feature map, summed over the images.

    Singular values above $\max(h, w)\, \epsilon\, \sigma_1$ count, with $\epsilon$ of the type the
    maps come in (float32 as a rule): rounding is not rank.

    Args:
        maps: Shape (b, n, h, w).

    Returns:
        Sum of (n,) over b images, each from 0 to min(h, w).

    Raises:
        InputError: Not four axes, empty, or not finite.

    Cost:
        O(b n h w min(h, w)).

    Example:
        >>> import numpy as np
        >>> rank_sum(np.stack([np.eye(3), np.ones((3, 3))])[None]).mean()
        tensor([3., 1.], dtype=torch.float64)

    References:
        [lin2020hrank] HRank: filter pruning using high-rank feature map, CVPR 2020.
    """
    tensor = checked(maps, "feature maps", ndim=4)
    precision = maps.dtype if isinstance(maps, Tensor) else torch.from_numpy(maps[:0]).dtype
    epsilon = torch.finfo(precision if precision.is_floating_point else torch.float64).eps
    ranks = torch.linalg.matrix_rank(tensor, rtol=max(tensor.shape[2:]) * epsilon)
    return MapMean(ranks.to(tensor.dtype).sum(dim=0), len(tensor))


def taylor_sum(maps: FloatArray | Tensor, gradients: FloatArray | Tensor) -> MapMean:
    r"""First-order change of the loss when a map is set to zero, summed over the images.

    $\Theta_i = \left| \frac{1}{hw} \sum_{uv} a_{iuv}\, \partial L / \partial a_{iuv} \right|$ for each image.

    Args:
        maps: Activations a, shape (b, n, h, w).
        gradients: Of the loss with respect to them, the same shape.

    Returns:
        Sum of (n,) over b images, in the unit of the loss.

    Raises:
        InputError: Not four axes, empty, not finite, or shapes that differ.

    Cost:
        O(b n h w).

    Example:
        >>> import numpy as np
        >>> a = np.array([[[[1.0, 2.0]], [[4.0, 0.0]]]])
        >>> taylor_sum(a, np.ones_like(a)).mean()
        tensor([1.5000, 2.0000], dtype=torch.float64)

    References:
        [molchanov2017pruning] Pruning convolutional neural networks for resource efficient inference,
        ICLR 2017.
    """
    values, slopes = checked(maps, "feature maps", ndim=4), checked(gradients, "gradients", ndim=4)
    if values.shape != slopes.shape:
        raise InputError(
            f"gradients: shape {tuple(slopes.shape)}, but the maps have {tuple(values.shape)}; "
            "take the gradient of the loss with respect to the maps"
        )
    per_image = (values * slopes.to(values.device)).mean(dim=(2, 3)).abs()
    return MapMean(per_image.sum(dim=0), len(values))


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
class HRank:
    """Worth = mean rank of a filter's feature maps. See `rank_sum`."""

    def sums(self, maps: FloatArray | Tensor) -> MapMean:
        """One batch (b, n, h, w) to a sum of (n,); add those of all batches."""
        return rank_sum(maps)

    def __call__(self, maps: ArrayT) -> ArrayT:
        """(b, n, h, w) to (n,)."""
        return alike(self.sums(maps).mean(), maps)


@dataclass(frozen=True)
class Taylor:
    """Worth = first-order change of the loss. See `taylor_sum`."""

    def sums(self, maps: FloatArray | Tensor, gradients: FloatArray | Tensor) -> MapMean:
        """One batch to a sum of (n,); add those of all batches."""
        return taylor_sum(maps, gradients)

    def __call__(self, maps: ArrayT, gradients: FloatArray | Tensor) -> ArrayT:
        """Maps and gradients (b, n, h, w) to (n,)."""
        return alike(self.sums(maps, gradients).mean(), maps)


@dataclass(frozen=True)
class BnScale:
    """Worth = size of the batch-norm factor, (n,) to (n,). See `bn_scale`."""

    def __call__(self, gamma: ArrayT) -> ArrayT:
        """(n,) to (n,)."""
        return bn_scale(gamma)
