"""The windows of a convolution: what it reads at each output position, gathered from the padded input."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

_VALUES = 300_000  # gathered at a time, so that turning taps behind channels happens in the cache


def windows(layer: _ConvNd, x: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Windows over the zero-padded (and, transposed, stretched) input.

    Channels are brought to the last axis first, where one tap of all channels is one run of memory: several times
    faster than a view of windows that is copied number by number.

    Args:
        layer: The convolution.
        x: Its input, (samples, channels, *sizes).
        chosen: Indices of the output positions (flattened), all by default.

    Returns:
        Shape (samples * positions, channels, taps).

    Example:
        >>> windows(nn.Conv1d(1, 1, 2), torch.arange(4.0)[None, None])[:, 0]
        tensor([[0., 1.],
                [1., 2.],
                [2., 3.]])
    """
    padded, stride = _padded(layer, x)
    sizes = _counts(layer, padded.shape[2:], stride)
    last = padded.movedim(1, -1).contiguous()
    steps = torch.tensor(last.stride()[1:-1], device=x.device) // last.shape[-1]
    if chosen is None:
        chosen = torch.arange(math.prod(sizes), device=x.device)
    places = torch.stack(torch.unravel_index(chosen, sizes), 1) * torch.tensor(stride, device=x.device)
    taps = torch.cartesian_prod(
        *(
            d * torch.arange(k, device=x.device)
            for k, d in zip(layer.kernel_size, layer.dilation, strict=True)
        )
    ).reshape(-1, len(sizes))
    samples = torch.arange(len(x), device=x.device) * (last[0].numel() // last.shape[-1])
    index = samples[:, None, None] + (places @ steps)[:, None] + taps @ steps
    return _gathered(last.flatten(0, -2), index.flatten(0, 1))


def counts(layer: _ConvNd, x: Tensor) -> tuple[int, ...]:
    """How many output positions there are along each axis.

    Example:
        >>> counts(nn.Conv2d(1, 1, 3, stride=2), torch.zeros(2, 1, 7, 9))
        (3, 4)
    """
    padded, stride = _padded(layer, x[:1, :1])
    return _counts(layer, padded.shape[2:], stride)


def _counts(layer: _ConvNd, sizes: torch.Size, stride: tuple[int, ...]) -> tuple[int, ...]:
    spans = [d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    return tuple((n - span) // s + 1 for n, span, s in zip(sizes, spans, stride, strict=True))


def _gathered(last: Tensor, index: Tensor) -> Tensor:
    """Rows of `last` (places, channels) at an index (n, taps), shape (n, channels, taps)."""
    found = last.new_empty(len(index), last.shape[1], index.shape[1])
    each = max(1, _VALUES // max(1, found[0].numel()))
    for start in range(0, len(index), each):
        rows = index[start : start + each]
        part = last.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
        found[start : start + each] = part.transpose(1, 2)
    return found


def _padded(layer: _ConvNd, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """The input with zeros around (and, transposed, between), and the stride of the windows over it."""
    if isinstance(layer, _ConvTransposeNd):
        return _stretched(layer, x), (1,) * len(layer.kernel_size)
    pads: list[int] = []
    for i in reversed(range(len(layer.kernel_size))):
        span = layer.dilation[i] * (layer.kernel_size[i] - 1)
        if layer.padding == "same":
            pads += [span // 2, span - span // 2]
        else:
            side = 0 if isinstance(layer.padding, str) else layer.padding[i]
            pads += [side, side]
    return nn.functional.pad(x, pads), tuple(layer.stride)


def _stretched(layer: _ConvTransposeNd, x: Tensor) -> Tensor:
    """Zeros between the inputs, so that a transposed convolution is a plain one with turned kernels."""
    sizes = x.shape[2:]
    out = x.new_zeros(*x.shape[:2], *((s - 1) * t + 1 for s, t in zip(sizes, layer.stride, strict=True)))
    spread: tuple[Any, ...] = (slice(None), slice(None), *(slice(None, None, t) for t in layer.stride))
    out[spread] = x
    pads: list[int] = []
    for i in reversed(range(len(sizes))):
        assert not isinstance(layer.padding, str)
        side = layer.dilation[i] * (layer.kernel_size[i] - 1) - layer.padding[i]
        pads += [side, side + layer.output_padding[i]]
    return nn.functional.pad(out, pads)
