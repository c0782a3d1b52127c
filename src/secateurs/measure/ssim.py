"""Structural similarity of pairs of feature maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray
from secateurs.measure.map_mean import MapMean
from secateurs.measure.unit_range import unit_range

_C1, _C2 = 0.01**2, 0.03**2  # for values from 0 to 1
_SIDE, _SIGMA = 11, 1.5  # of the window
_BLOCK = 2**17  # entries of one block of pairs and places: 1 MiB, which stays in the cache


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
        O(b n^2 h w) time, times about 20 with windows; O(n^2 + b n h w) memory.

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
        for part in _in_windows(image, side) if local else [_everywhere(image)]:
            _add_upper(total, part)
    upper = total.triu()
    return MapMean(upper + upper.triu(1).T, len(tensor))


@dataclass(frozen=True, eq=False)
class _Part:
    r"""What gives the second moments of all pairs at some places: $E[x_i x_j]$ in windows, in two steps.

    The window is a product of one down and one across. At each column of pixels, products of the `slabs` (lines,
    width, n, side) with each other sum over the window down; `across` (places, width) sums them over the window
    across, None where there is one column. `mean` and `power` (lines x places, n) are $E[x_i]$ and $E[x_i^2]$; an image
    has `count` places.
    """

    slabs: Tensor
    across: Tensor | None
    mean: Tensor
    power: Tensor
    count: int


def _everywhere(image: Tensor) -> _Part:
    """Whole maps (n, h, w), at one place."""
    flat = image.flatten(1)
    mean, power = flat.mean(dim=1)[None], flat.square().mean(dim=1)[None]
    return _Part((flat / flat.shape[1] ** 0.5)[None, None], None, mean, power, 1)


def _in_windows(image: Tensor, side: int) -> Iterator[_Part]:
    """Maps (n, h, w) in windows, some lines of places at a time."""
    n, height, width = image.shape
    bell = _bell(side, image)
    down, across = _band(bell, height), _band(bell, width)
    mean, power = (down @ values @ across.T for values in (image, image.square()))  # (n, h', w')
    slabs = image.unfold(1, side, 1) * bell.sqrt()  # (n, h', w, side)
    lines = max(1, _BLOCK // (width * n * n))
    for top in range(0, len(down), lines):
        some = slice(top, top + lines)
        first, second = mean[:, some].flatten(1).T, power[:, some].flatten(1).T
        yield _Part(slabs[:, some].permute(1, 2, 0, 3), across, first, second, len(down) * len(across))


def _add_upper(total: Tensor, part: _Part) -> None:
    r"""Add the SSIM of each pair of maps, as a share of all places, to the upper half of `total` (n, n).

    The other factors are products of matrices too: with $s = \mu^2 + C_1 / 2$ and $v = \sigma^2 + C_2 / 2$ the
    denominator $(s_i + s_j)(v_i + v_j)$ is $(s_i v_i, s_i, v_i, 1)^T (1, v_j, s_j, s_j v_j)$.
    """
    lines, width, n = part.slabs.shape[:3]
    mean, one = part.mean, torch.ones_like(part.mean)
    square, variance = mean.square() + _C1 / 2, part.power - mean.square() + _C2 / 2
    constant = part.slabs.new_full((lines, width, n, 1), (_C1 + _C2) ** 0.5)
    slabs = torch.cat([part.slabs * 2.0**0.5, constant], dim=3)  # products are 2 E[x_i x_j] + C_1 + C_2
    means = torch.stack([mean * 2.0**0.5, one * _C1**0.5], dim=2)
    left = torch.stack([square * variance, square, variance, one], dim=2) * part.count
    right = torch.stack([one, variance, square, square * variance], dim=1)
    step = max(8, _BLOCK // (lines * width * n))
    for start in range(0, n, step):
        these, others = slice(start, start + step), slice(start, n)
        second = slabs[:, :, these] @ slabs[:, :, others].mT
        if part.across is not None:
            second = part.across @ second.flatten(2)
        across = means[:, these] @ means[:, others].mT  # 2 mu_i mu_j + C_1
        top = second.reshape(across.shape)
        top.sub_(across).mul_(across).div_(left[:, these] @ right[:, :, others])
        total[these, others] += top.sum(dim=0)


def _band(bell: Tensor, size: int) -> Tensor:
    """The matrix (size - side + 1, size) of which each row is the window one place further."""
    places = size - len(bell) + 1
    band = bell.new_zeros(places, size)
    for place in range(places):
        band[place, place : place + len(bell)] = bell
    return band


def _bell(side: int, like: Tensor) -> Tensor:
    place = torch.arange(side, dtype=like.dtype, device=like.device) - side // 2
    bell = torch.exp(-place.square() / (2.0 * _SIGMA**2))
    return bell / bell.sum()
