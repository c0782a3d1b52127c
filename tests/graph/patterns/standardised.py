"""Patterns: convolutions that standardise their weights, which become plain where they lose inputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import add, conv, net


class Standardised(nn.Conv2d):
    """Mean 0 and variance 1 over the inputs of every filter, by hand."""

    def forward(self, x: Tensor) -> Tensor:
        """Standardise, then convolve."""
        flat = self.weight.flatten(1)
        flat = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, keepdim=True) + 1e-4).sqrt()
        return self._conv_forward(x, flat.view_as(self.weight), self.bias)


class ByBatchNorm(nn.Conv2d):
    """The same by batch norm on the weights (BiT)."""

    def forward(self, x: Tensor) -> Tensor:
        """Standardise, then convolve."""
        flat = self.weight.reshape(1, self.out_channels, -1)
        flat = F.batch_norm(flat, None, None, training=True, momentum=0.0, eps=1e-6)
        weight = flat.reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Scaled(nn.Conv2d):
    """With a gain for every filter (NFNet), and the padding of TensorFlow where `same`."""

    def __init__(self, i: int, o: int, k: int, same: bool = False, **more: int) -> None:
        super().__init__(i, o, k, padding=0 if same else k // 2, **more)
        self.gain = nn.Parameter(torch.ones(o, 1, 1, 1))
        self.scale = self.weight[0].numel() ** -0.5
        self.same = same

    def forward(self, x: Tensor) -> Tensor:
        """Pad, standardise, then convolve."""
        if self.same:
            k, s = self.kernel_size[0], self.stride[0]
            missing = [max((-(-n // s) - 1) * s + k - n, 0) for n in (x.shape[3], x.shape[2])]
            x = F.pad(x, [p for m in missing for p in (m // 2, m - m // 2)])
        flat = self.weight.reshape(1, self.out_channels, -1)
        gain = (self.gain * self.scale).view(-1)
        flat = F.batch_norm(flat, None, None, weight=gain, training=True, momentum=0.0, eps=1e-6)
        weight = flat.reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


add(
    "weight standardisation, by hand",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: Standardised(3, 8, 3, padding=1),
        b=lambda: Standardised(8, 6, 3),
        out=lambda: Standardised(6, 4, 1),
    ),
    "a b",
    tolerance=1e-5,
)
add(
    "weight standardisation by batch norm, with a shortcut (BiT)",
    net(
        lambda m, x: m.out((y := m.a(x)) + m.c(m.b(y.relu()).relu())),
        a=lambda: ByBatchNorm(3, 8, 3, padding=1),
        b=lambda: ByBatchNorm(8, 6, 1, bias=False),
        c=lambda: ByBatchNorm(6, 8, 3, padding=1),
        out=lambda: conv(8, 4),
    ),
    "a b",
    tolerance=1e-5,
)
add(
    "scaled weight standardisation with gains (NFNet)",
    net(
        lambda m, x: m.out(m.c(m.b(m.a(x).relu()).relu()).relu()),
        a=lambda: Scaled(3, 8, 3),
        b=lambda: Scaled(8, 8, 3, groups=2),
        c=lambda: Scaled(8, 6, 1),
        out=lambda: conv(6, 4),
    ),
    "a b c",
    tolerance=1e-5,
)
add(
    "scaled weight standardisation, depthwise",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: Scaled(3, 8, 3),
        b=lambda: Scaled(8, 8, 3, groups=8),
        out=lambda: conv(8, 4),
    ),
    "a",
    tolerance=1e-5,
)
add(
    "scaled weight standardisation with the padding of TensorFlow",
    net(
        lambda m, x: m.out(m.c(m.b(m.a(x).relu()).relu()).relu()),
        a=lambda: Scaled(3, 8, 3, same=True),
        b=lambda: Scaled(8, 6, 3, same=True, stride=2),
        c=lambda: Scaled(6, 6, 2, same=True, stride=2),
        out=lambda: conv(6, 4),
    ),
    "a b c",
    tolerance=1e-5,
)
