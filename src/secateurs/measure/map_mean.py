"""Means over images, summed batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from secateurs.errors import InputError


@dataclass(frozen=True)
class MapMean:
    """A sum over images with their number: add those of all batches, then take the mean.

    Memory does not grow with the number of images, and the sums of several machines add up too.

    Example:
        >>> import torch
        >>> (MapMean(torch.tensor([2.0]), 1) + MapMean(torch.tensor([4.0]), 2)).mean()
        tensor([2.])
    """

    total: Tensor
    images: int

    def __add__(self, other: MapMean) -> MapMean:
        if self.total.shape != other.total.shape:
            raise InputError(
                f"feature maps: batches of {self.total.shape[0]} and {other.total.shape[0]} maps; "
                "all must come from the same layer"
            )
        return MapMean(self.total + other.total.to(self.total.device), self.images + other.images)

    def mean(self) -> Tensor:
        """The mean over all images."""
        return self.total / self.images


def batch_sum(values: Tensor) -> MapMean:
    """Count the values of one batch once, so that the mean is over batches.

    Args:
        values: Any shape, the same for every batch.

    Returns:
        The values, counted once.

    Example:
        >>> import torch
        >>> (batch_sum(torch.tensor([2.0])) + batch_sum(torch.tensor([4.0]))).mean()
        tensor([3.])
    """
    return MapMean(values, 1)
