"""Patterns: shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import add, conv, net, unit

_OPTION_A = {
    "a": lambda: unit(3, 8),
    "b": lambda: unit(8, 6),
    "c": lambda: conv(6, 16, stride=2),
    "d": lambda: unit(16, 6),
    "e": lambda: conv(6, 16),
    "out": lambda: conv(16, 4),
}


def _option_a(pad: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        y = m.c(m.b(x))
        x = F.relu(y + pad(x[:, :, ::2, ::2], y))
        return m.out(F.relu(x + m.e(m.d(x))))

    return forward


add(
    "option-A shortcut, constants",
    net(_option_a(lambda x, y: F.pad(x, (0, 0, 0, 0, 4, 4))), **_OPTION_A),
    "a.0 b.0 d.0",
    locked={"c": "padding"},
    onnx=True,
)
add(
    "option-A shortcut, computed padding",
    net(
        _option_a(
            lambda x, y: F.pad(
                x,
                (
                    0,
                    0,
                    0,
                    0,
                    (y.shape[1] - x.shape[1]) // 2,
                    (y.shape[1] - x.shape[1]) - (y.shape[1] - x.shape[1]) // 2,
                ),
            )
        ),
        **_OPTION_A,
    ),
    "a.0 b.0 d.0",
    locked={"c": "padding"},
)
add(
    "option-A shortcut, zeros concatenated",
    net(_option_a(lambda x, y: torch.cat([x, torch.zeros(x.shape[0], 8, *x.shape[2:])], 1)), **_OPTION_A),
    "a.0 b.0 d.0",
    locked={"c": ""},
)
add(
    "option-A shortcut, zeros_like concatenated",
    net(_option_a(lambda x, y: torch.cat([x, torch.zeros_like(x)], 1)), **_OPTION_A),
    "a.0 b.0 d.0",
)
add(
    "projection shortcut",
    net(
        lambda m, x: m.out(F.relu(m.c(m.b(y := m.a(x))) + m.s(y))),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        c=lambda: conv(6, 12, stride=2),
        s=lambda: conv(8, 12, 1, stride=2),
        out=lambda: conv(12, 4),
    ),
    "a.0 b.0 c",
)
add(
    "max pool and conv concatenated (downsampling)",
    net(
        lambda m, x: m.out(torch.cat([m.b(y := m.a(x)), F.max_pool2d(y, 2)], 1)),
        a=lambda: unit(3, 8),
        b=lambda: conv(8, 6, stride=2),
        out=lambda: conv(14, 4),
    ),
    "a.0 b",
)


def _unet(m: Any, x: Tensor) -> Tensor:
    a = m.a(x)
    b = m.b(F.max_pool2d(a, 2))
    c = m.c(F.max_pool2d(b, 2))
    b = m.d(torch.cat([F.interpolate(c, scale_factor=2, mode="bilinear", align_corners=False), b], 1))
    a = m.e(torch.cat([m.up(b), a], 1))
    return m.out(a)


add(
    "U-Net",
    net(
        _unet,
        a=lambda: unit(3, 6),
        b=lambda: unit(6, 8),
        c=lambda: unit(8, 10),
        d=lambda: unit(18, 8),
        up=lambda: nn.ConvTranspose2d(8, 6, 2, 2),
        e=lambda: unit(12, 6),
        out=lambda: conv(6, 2, 1),
    ),
    "a.0 b.0 c.0 d.0 up e.0",
)
