"""Peak signal-to-noise ratio of pairs of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray
from secateurs.measure.map_mean import MapMean
from secateurs.measure.unit_range import unit_range

_FLOOR = 1e-10  # of the mean squared error: equal maps have 100 dB


def psnr_sum(maps: FloatArray | Tensor, *, scaled: bool = True) -> MapMean:
    r"""Peak signal-to-noise ratio of each pair of maps, summed over the images.

    $\mathrm{PSNR}(x, y) = 10 \log_{10} (1 / \max(\mathrm{MSE}(x, y), 10^{-10}))$.

    Args:
        maps: Shape (b, n, h, w).
        scaled: Bring every image to [0, 1] first, see `unit_range`; else the maps must be there.

    Returns:
        Sum of (n, n) in dB over b images; 100 dB on the diagonal.

    Raises:
        InputError: Not four axes, empty, or not finite.

    Cost:
        O(b n^2 h w) time, O(n^2 + b n h w) memory.

    Example:
        >>> import numpy as np
        >>> psnr_sum(np.array([[[[0.0, 0.0]], [[0.0, 1.0]]]])).mean().numpy().round(2)
        array([[100.  ,   3.01],
               [  3.01, 100.  ]])

    References:
        [wang2022qsfm] QSFM: model pruning based on quantified similarity between feature maps for AI
        on edge, IEEE Internet of Things Journal 2022 (abstract; a reading).
    """
    tensor = checked(maps, "feature maps", ndim=4)
    flat = (unit_range(tensor) if scaled else tensor).flatten(2)
    total = flat.new_zeros(flat.shape[1], flat.shape[1])
    for image in flat:
        centred = image - image.mean(dim=0)  # the error is the same, and less cancels
        squares = centred.square().sum(dim=1)
        error = (squares[:, None] + squares - 2.0 * (centred @ centred.T)) / image.shape[1]
        error.fill_diagonal_(0.0)
        total -= 10.0 * torch.log10(error.clamp(min=_FLOOR))
    return MapMean((total + total.T) / 2, len(flat))
