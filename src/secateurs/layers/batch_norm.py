"""Batch norms in evaluation: the affine map that one is, and constants that are added by way of one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def norm_affine(
    gamma: Tensor | None, beta: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch norm in evaluation: y = scale x + shift, each of shape (n,).

    Example:
        >>> norm_affine(None, None, torch.tensor([2.0]), torch.tensor([4.0]), 0.0)
        (tensor([0.5000]), tensor([-1.]))
    """
    scale = torch.rsqrt(var + eps) * (1.0 if gamma is None else gamma)
    return scale, (0.0 if beta is None else beta) - mean * scale


def affine(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> Tensor:
    """Apply a batch norm as the affine map it is, which can be differentiated twice.

    Example:
        >>> affine(torch.ones(1, 1), None, None, torch.zeros(1), torch.ones(1), 0.0)
        tensor([[1.]])
    """
    scale, shift = norm_affine(gamma, beta, mean, var, eps)
    shape = (1, -1, *(1 for _ in range(x.dim() - 2)))
    # one pass over the values: where channels lie last, a product and a sum take three times as long
    return torch.addcmul(shift.reshape(shape), x, scale.reshape(shape))


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
