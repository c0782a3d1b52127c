"""Patterns: grouped, depthwise, transposed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from patterns.base import add, conv, net, signal, unit

add(
    "grouped conv",
    net(
        lambda m, x: m.out(m.g(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        g=lambda: conv(8, 8, groups=2),
        out=lambda: conv(8, 4),
    ),
    "a g",
)
add(
    "grouped conv, wider out",
    net(
        lambda m, x: m.out(m.g(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        g=lambda: conv(8, 12, groups=4),
        out=lambda: conv(12, 4),
    ),
    "a",
)
add(
    "grouped conv, many small groups",
    net(
        lambda m, x: m.out(m.g(m.a(x)).relu()),
        a=lambda: conv(3, 16),
        g=lambda: conv(16, 16, groups=8),
        out=lambda: conv(16, 4),
    ),
    "a",
)
add(
    "depthwise",
    net(
        lambda m, x: m.out(m.d(m.a(x)).relu()),
        a=lambda: unit(3, 8),
        d=lambda: unit(8, 8, groups=8),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "depthwise, multiplier 2",
    net(
        lambda m, x: m.out(m.d(m.a(x)).relu()),
        a=lambda: unit(3, 8),
        d=lambda: unit(8, 16, groups=8),
        out=lambda: conv(16, 4),
    ),
    "a.0",
    onnx=True,
)
add(
    "functional depthwise",
    net(
        lambda m, x: m.out(F.conv2d(y := m.a(x), m.w, groups=y.shape[1])),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 3, 3)),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "functional depthwise, groups from an attribute",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.w, groups=m.dim)),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 3, 3)),
        dim=lambda: 8,
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "functional depthwise, literal groups",
    net(
        lambda m, x: m.out(F.conv2d(m.b(m.a(x)), m.w, groups=8)),
        a=lambda: conv(3, 6),
        b=lambda: conv(6, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 3, 3)),
        out=lambda: conv(8, 4),
    ),
    "a",
    locked={"b": "needs the full size"},
)
add(
    "transposed conv",
    net(
        lambda m, x: m.out(m.t(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 6, 2, 2),
        out=lambda: conv(6, 4),
    ),
    "a t",
)
add(
    "grouped transposed conv",
    net(
        lambda m, x: m.out(m.t(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 12, 2, 2, groups=2),
        out=lambda: conv(12, 4),
    ),
    "a t",
)
add(
    "depthwise transposed conv",
    net(
        lambda m, x: m.out(m.t(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 8, 2, 2, groups=8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "Conv1d",
    net(
        lambda m, x: m.out(m.b(m.a(x)).mean(-1)),
        a=lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU()),
        b=lambda: nn.Conv1d(8, 6, 3),
        out=lambda: nn.Linear(6, 2),
    ),
    "a.0 b",
    signal(),
)
add(
    "Conv3d",
    net(
        lambda m, x: m.out(m.b(m.a(x)).mean((2, 3, 4))),
        a=lambda: nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ReLU()),
        b=lambda: nn.Conv3d(8, 6, 1),
        out=lambda: nn.Linear(6, 2),
    ),
    "a.0 b",
    torch.randn(2, 3, 5, 5, 5),
)
add(
    "same padding, dilation, reflect",
    net(
        lambda m, x: m.out(m.b(m.a(x))),
        a=lambda: nn.Conv2d(3, 8, 3, padding="same", dilation=2),
        b=lambda: nn.Conv2d(8, 6, 3, padding=1, padding_mode="reflect"),
        out=lambda: nn.Conv2d(6, 4, 1, padding=1, padding_mode="circular"),
    ),
    "a b",
)
