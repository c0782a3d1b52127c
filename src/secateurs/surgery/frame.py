"""The papers' frame: identity 1x1 convolutions around a layer, so that both its sides can shrink.

A k x k convolution W becomes 1x1 (identity, c -> c), W, 1x1 (identity, n -> n): the same function, but
now its inputs and outputs lie between linear layers and are coupled with nothing else. [purohit2022fpomp]
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn


def frameable(model: nn.Module) -> tuple[str, ...]:
    """Names of the plain convolutions larger than 1x1, all but the first, in the order of definition."""
    convs = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    return tuple(
        n for n, m in convs[1:] if m.groups == 1 and max(m.kernel_size) > 1 and isinstance(m.padding, tuple)
    )


def insert_frames(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """A copy of `model` in which each named convolution sits between two identity 1x1 convolutions.

    The layer keeps its place: `name` becomes a Sequential of `enter`, `conv`, `leave`; a bias moves to
    `leave`, where it is added after the mixing, as before.
    """
    framed = copy.deepcopy(model)
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(framed.get_submodule(parent), child, _framed(framed.get_submodule(name)))
    return framed


def _framed(conv: nn.Module) -> nn.Sequential:
    if not isinstance(conv, nn.Conv2d):
        raise TypeError("only two-dimensional convolutions can be framed")
    enter = _identity(conv.in_channels, conv.weight, bias=False)
    leave = _identity(conv.out_channels, conv.weight, bias=conv.bias is not None)
    if conv.bias is not None and leave.bias is not None:
        leave.bias.data.copy_(conv.bias.data)
        conv.bias = None
    frame = nn.Sequential()
    frame.add_module("enter", enter)
    frame.add_module("conv", conv)
    frame.add_module("leave", leave)
    return frame.train(conv.training)


def _identity(width: int, like: torch.Tensor, bias: bool) -> nn.Conv2d:
    layer = nn.Conv2d(width, width, 1, bias=bias, device=like.device, dtype=like.dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(width, device=like.device, dtype=like.dtype)[:, :, None, None])
    return layer
