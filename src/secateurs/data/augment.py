"""More views of few images: random crops and mirror images, for a reconstruction that would learn them by heart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from secateurs.errors import InputError
from secateurs.layout import laid_out_as


@dataclass(frozen=True)
class Crops:
    r"""Every image of a batch cropped at random, scaled back to its size, and mirrored half of the time.

    A crop has a side of $1 - u z$ of the image's, u uniform on [0, 1), at a uniform place inside it; the values
    between pixels are interpolated bilinearly.

    Args:
        zoom: z, the most that a crop leaves out of a side, in [0, 1).
        mirror: Whether left and right may be exchanged: not for spectrograms, letters or digits.

    Raises:
        InputError: A zoom outside [0, 1), or a batch that is not of shape (n, c, h, w) and of floating point.

    Example:
        >>> images = torch.arange(4.0).view(1, 1, 2, 2)
        >>> Crops(zoom=0.0, mirror=False)(images, torch.Generator()).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    zoom: float = 0.3
    mirror: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.zoom < 1:
            raise InputError(f"zoom is {self.zoom}; give a share in [0, 1).")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crops of the same shape, on the same device and laid out as the images are."""
        if images.dim() != 4 or not images.is_floating_point():
            kind = f"{tuple(images.shape)} of {images.dtype}"
            raise InputError(
                f"crops: images are of shape (n, c, h, w) and of floating point, and these {kind}."
            )
        n = len(images)
        side = 1 - self.zoom * torch.rand(n, generator=generator)
        shift = (2 * torch.rand(2, n, generator=generator) - 1) * (1 - side)
        turned = torch.rand(n, generator=generator) < 0.5
        sign = torch.where(turned, -1.0, 1.0) if self.mirror else torch.ones(n)
        maps = torch.zeros(n, 2, 3)
        maps[:, 0, 0], maps[:, 1, 1] = sign * side, side
        maps[:, :, 2] = shift.T
        grid = F.affine_grid(maps.to(images), list(images.shape), align_corners=False)
        made = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return laid_out_as(made, images)
