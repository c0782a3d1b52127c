"""More views of few images: random crops, shifts and mirror images, for training that would learn them by heart."""

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


@dataclass(frozen=True)
class Shifts:
    """Every image of a batch shifted at random, zeros beyond its edge, and mirrored half of the time.

    Each axis is shifted by a uniform number of whole pixels up to `pixels`, as padding by so many and cropping do.

    Args:
        pixels: The largest shift; None for an eighth of the shorter side (4 of 32).
        mirror: Whether left and right may be exchanged: not for spectrograms, letters or digits.

    Example:
        >>> images = torch.arange(1.0, 5.0).view(1, 1, 2, 2)
        >>> Shifts(1, mirror=False).moved(images, torch.tensor([[0.99, 0.5, 0.0]])).flatten().tolist()
        [3.0, 4.0, 0.0, 0.0]
    """

    pixels: int | None = None
    mirror: bool = True

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Shifted images of the same shape, on the same device and laid out as the images are."""
        return self.moved(images, self.drawn(len(images), generator))

    def drawn(self, number: int, generator: torch.Generator) -> Tensor:
        """What decides so many shifts: uniform numbers on [0, 1), shape (number, 3)."""
        return torch.rand(number, 3, generator=generator)

    def moved(self, images: Tensor, uniform: Tensor) -> Tensor:
        """The images (n, c, h, w), bytes or of floating point, as `uniform` (n, 3) says: down, right, mirrored.

        Raises:
            InputError: They are no images.
        """
        if images.dim() != 4:
            raise InputError(f"shifts: images are of shape (n, c, h, w), and these {tuple(images.shape)}.")
        n, c, h, w = images.shape
        pixels = min(h, w) // 8 if self.pixels is None else self.pixels
        start = (uniform[:, :2] * (2 * pixels + 1)).long()
        columns = torch.arange(w).expand(n, w)
        if self.mirror:
            columns = torch.where(uniform[:, 2:] < 0.5, columns.flip(1), columns)
        rows = (start[:, :1] + torch.arange(h)).to(images.device)
        columns = (start[:, 1:] + columns).to(images.device)
        padded = F.pad(images, (pixels,) * 4)
        each, channel = (torch.arange(k, device=images.device) for k in (n, c))
        moved = padded[
            each[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None]
        ]
        return laid_out_as(moved, images)
