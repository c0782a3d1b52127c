"""Structural similarity of pairs of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from secateurs.arrays import checked
from secateurs.contracts import FloatArray
from secateurs.measure.map_mean import MapMean
from secateurs.measure.unit_range import unit_range

_C1, _C2 = 0.01**2, 0.03**2  # for values from 0 to 1
_SIDE, _SIGMA = 11, 1.5  # of the window
_BLOCK = 2**23  # entries of one block of products: 64 MiB


def ssim_sum(maps: FloatArray | Tensor, *, window: bool = True, scaled: bool = True) -> MapMean:
    r"""Structural similarity of each pair of maps, summed over the images.

    $\mathrm{SSIM}(x, y) = \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)
    (\sigma_x^2 + \sigma_y^2 + C_2)}$ with $C_1 = 0.01^2$, $C_2 = 0.03^2$.

    Args:
        maps: Shape (b, n, h, w).
        window: Means, variances and covariances in Gaussian windows of 11 x 11, sigma 1.5, and the
            mean over all places where the window fits; 9 x 9 where a map's shorter side is 9 or 10. Maps of 8 and
            less, and all maps if False, are compared by their global statistics.
        scaled: Bring every image to [0, 1] first, see `unit_range`; else the maps must be there.

    Returns:
        Sum of (n, n) over b images, each from -1 to 1, 1 on the diagonal.

    Raises:
        InputError: Not four axes, empty, or not finite.

    Cost:
        O(b n^2 h w) time, times 22 with windows; O(n^2 + b n h w) memory.

    Example:
        >>> import numpy as np
        >>> ssim_sum(np.array([[[[0.0, 1.0]], [[1.0, 0.0]]]])).mean().numpy().round(3)
        array([[ 1.   , -0.996],
               [-0.996,  1.   ]])

    References:
        [wang2004ssim] Image quality assessment: from error visibility to structural similarity, IEEE TIP 2004.
        [wang2022qsfm] QSFM (abstract; a reading).
    """
    tensor = checked(maps, "feature maps", ndim=4)
    tensor = unit_range(tensor) if scaled else tensor
    side = min(_SIDE, (min(tensor.shape[2:]) - 1) // 2 * 2 + 1)
    local = window and side > 8
    total = tensor.new_zeros(tensor.shape[1], tensor.shape[1])
    for image in tensor:
        total += _ssim_in_windows(image, side) if local else _ssim_global(image.flatten(1))
    return MapMean((total + total.T) / 2, len(tensor))


def _ssim_global(image: Tensor) -> Tensor:
    mean = image.mean(dim=1)
    centred = image - mean[:, None]
    return _ssim(mean[:, None], mean, (centred @ centred.T) / image.shape[1])


def _ssim(mean: Tensor, other: Tensor, covariance: Tensor) -> Tensor:
    variance = covariance.diagonal()
    alike_mean = (2.0 * mean * other + _C1) / (mean.square() + other.square() + _C1)
    return alike_mean * (2.0 * covariance + _C2) / (variance[:, None] + variance + _C2)


def _ssim_in_windows(image: Tensor, side: int) -> Tensor:
    n, height, width = image.shape
    mean = _blurred(image, side)
    variance = _blurred(image.square(), side) - mean.square()
    rows = max(1, _BLOCK // (n * height * width))
    parts = []
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        products = (image[part, None] * image[None]).flatten(0, 1)
        covariance = torch.unflatten(_blurred(products, side), 0, (-1, n)) - mean[part, None] * mean[None]
        across = mean[part, None] * mean[None]
        top = (2.0 * across + _C1) * (2.0 * covariance + _C2)
        squares = mean.square()
        bottom = (squares[part, None] + squares + _C1) * (variance[part, None] + variance + _C2)
        parts.append((top / bottom).mean(dim=(2, 3)))
    return torch.cat(parts)


def _blurred(images: Tensor, side: int) -> Tensor:
    place = torch.arange(side, dtype=images.dtype, device=images.device) - side // 2
    bell = torch.exp(-place.square() / (2.0 * _SIGMA**2))
    bell = bell / bell.sum()
    down = conv2d(images[:, None], bell.view(1, 1, side, 1))
    return conv2d(down, bell.view(1, 1, 1, side))[:, 0]
