"""What the copies that a proof runs hold in the place of some parameters."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

LARGE = 2**18
"""Numbers of a parameter of a network of many weights above which it is not copied for the proof."""


def drawn(model: nn.Module, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Random numbers for the parameters that are one number throughout, of the size of that number (1 for 0).

    Example:
        >>> [name for name, _ in drawn(nn.BatchNorm2d(2), 0)]
        ['weight', 'bias']
    """
    for name, tensor in model.named_parameters():
        if tensor.numel() > 1 and tensor.is_floating_point() and tensor.device.type != "meta":
            low, high = torch.aminmax(tensor.detach())
            if bool(low == high):
                generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed % 2**32)
                size = float(low) or 1.0
                yield name, size * (0.5 + torch.rand(tensor.shape, generator=generator)).to(tensor.device)


def weightless(model: nn.Module, besides: Collection[str]) -> dict[int, nn.Parameter]:
    """Parameters of NaN without memory of their own, which nothing can write, by the `id` of the large ones of a model.

    `Precise` reads the original's numbers in their place. Code that gets past it meets NaN; then a copy is made.

    Args:
        model: The network.
        besides: Names of parameters to leave out.

    Example:
        >>> weightless(nn.Linear(2, 2), ())
        {}
    """
    return {
        id(tensor): nn.Parameter(tensor.new_full((), torch.nan).expand(tensor.shape), requires_grad=False)
        for name, tensor in model.named_parameters()
        if tensor.is_floating_point() and tensor.numel() > LARGE and name not in besides
    }
