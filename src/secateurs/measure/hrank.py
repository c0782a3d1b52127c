"""Rank of feature maps: HRank."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray
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
