"""Add a constant to what a layer gives, wherever it can be put."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def shift_(model: nn.Module, name: str, constant: Tensor, norm: str | None = None) -> bool:
    """Add `constant`, one entry an output channel, to the outputs of a layer, in place.

    It goes into the layer's bias, or into the running mean of the batch norm that reads its output, for
    `(y + c) - mean = y - (mean - c)`.

    Args:
        model: Holds the layer.
        name: Of the layer.
        constant: Shape (outputs,).
        norm: Name of the batch norm that reads the layer's output, where there is one.

    Returns:
        False where there is neither, and then nothing has changed.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
        >>> before = net[0].bias.item()
        >>> shift_(net, "0", torch.tensor([2.0])), round(net[0].bias.item() - before, 5)
        (True, 2.0)
    """
    bias = getattr(model.get_submodule(name), "bias", None)
    if isinstance(bias, Tensor):
        bias.add_(constant.to(bias))
        return True
    mean = None if norm is None else getattr(model.get_submodule(norm), "running_mean", None)
    if not isinstance(mean, Tensor) or len(mean) != len(constant):
        return False
    mean.sub_(constant.to(mean))
    return True
