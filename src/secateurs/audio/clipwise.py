"""Scores of a whole clip, from those of the inputs that were cut from it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class MeanOverWindows(nn.Module):
    """A network for whole clips: the mean of what another gives for each of their inputs.

    Args:
        network: Takes inputs (b, ...) and gives scores (b, classes).
        activation: What is averaged, of the scores: such as `torch.sigmoid`, or a softmax; None for the scores.

    Example:
        >>> MeanOverWindows(nn.Flatten())(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
        [[2.0, 3.0]]
    """

    def __init__(self, network: nn.Module, activation: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.network = network
        self.activation = activation

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (b, windows, ...) to scores (b, classes)."""
        scores: Tensor = self.network(clips.flatten(0, 1))
        scores = scores if self.activation is None else self.activation(scores)
        return torch.unflatten(scores, 0, clips.shape[:2]).mean(dim=1)
