"""Images held as one array of bytes, made ready a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from secateurs.data.normalisation import Normalisation
from secateurs.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageArray(Dataset[tuple[Tensor, int]]):
    """Images (n, c, h, w) of bytes from 0 to `scale` and labels (n,); normalised to float32 when read."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    normalisation: Normalisation
    scale: float = 255.0

    def __post_init__(self) -> None:
        check_channels(self.normalisation, self.images.shape[1])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.batch([index])
        return image[0], int(label[0])

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        images, labels = self.batch(indices)
        return list(zip(images, labels.tolist(), strict=True))

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Float32 images (b, c, h, w), normalised, and int64 labels (b,)."""
        if isinstance(indices, range) and indices.step == 1:
            chosen: Any = slice(indices.start, indices.stop)  # no copy before the conversion
        else:
            chosen = np.asarray(indices, dtype=np.int64)
        pixels = torch.from_numpy(self.images[chosen]).to(torch.float32)
        return normalise_(pixels, self.normalisation, self.scale), torch.tensor(self.labels[chosen])


def normalise_(pixels: Tensor, normalisation: Normalisation, scale: float) -> Tensor:
    """`(x / scale - mean) / std` in place, for float pixels (b, c, h, w).

    Example:
        >>> normalise_(torch.full((1, 1, 1, 1), 255.0), Normalisation((0.5,), (0.25,)), 255.0).item()
        2.0
    """
    mean = torch.tensor(normalisation.mean, dtype=pixels.dtype).view(-1, 1, 1)
    std = torch.tensor(normalisation.std, dtype=pixels.dtype).view(-1, 1, 1)
    return pixels.div_(scale).sub_(mean).div_(std)


def check_channels(normalisation: Normalisation, channels: int) -> None:
    """Refuse a normalisation that is for another number of channels.

    Raises:
        InputError: the numbers differ.

    Example:
        >>> check_channels(Normalisation((0.5,), (0.5,)), 1)
    """
    if len(normalisation.mean) != channels:
        raise InputError(
            f"The data have {channels} channels, the normalisation of the model is for "
            f"{len(normalisation.mean)}: this model does not belong to these data."
        )


def check_shape(name: str, shape: tuple[int, ...], wanted: tuple[int, ...] | None) -> None:
    """Refuse data of a fixed shape for a model that takes another.

    Raises:
        InputError: the shapes differ.

    Example:
        >>> check_shape("digits", (1, 8, 8), None)
    """
    if wanted is not None and tuple(wanted) != shape:
        raise InputError(f"The data '{name}' have inputs of shape {shape}, the model takes {tuple(wanted)}.")
