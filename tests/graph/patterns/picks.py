"""Patterns: reading and writing at places that an index names, complex numbers, products of two inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from patterns.base import abc, add, conv, net


def _gathered(m: Any, x: Tensor) -> Tensor:
    """The four places where the image is brightest."""
    y = m.a(x).flatten(2)
    places = x[:, :1].flatten(2).topk(4, dim=2).indices
    return m.fc(y.gather(2, places.expand(-1, y.shape[1], -1)).sum(2))


def _scattered(m: Any, x: Tensor) -> Tensor:
    """Sums over the places that one row of the image puts in the same bin."""
    y = m.a(x).flatten(2)
    bins = (x[:, :1].flatten(2) > 0).long()
    sums = torch.zeros_like(y[:, :, :2]).scatter_add(2, bins.expand(-1, y.shape[1], -1), y)
    return m.fc(sums.flatten(1))


def _rotated(m: Any, x: Tensor) -> Tensor:
    """Channels as complex numbers, turned, and taken apart again."""
    y = torch.view_as_complex(torch.stack([m.a(x), m.b(x)], -1).contiguous())
    y = y * torch.polar(y.abs(), y.angle()).conj()
    parts = torch.view_as_real(y)
    return m.out(torch.complex(parts[..., 0], parts[..., 1]).real + y.imag)


add(
    "gather over space",
    net(_gathered, a=lambda: conv(3, 8), fc=lambda: nn.Linear(8, 4)),
    "a",
)
add("scatter_add over space", net(_scattered, a=lambda: conv(3, 8), fc=lambda: nn.Linear(16, 4)), "a")
add(
    "index_add and index_copy over rows",
    abc(
        lambda m, x: m.out(
            m.b(
                (y := m.a(x))
                .index_add(2, torch.tensor([0, 3]), y[:, :, :2])
                .index_copy(3, torch.tensor([1, 2]), y[:, :, :, 4:6])
            )
        )
    ),
    "a b",
)
add(
    "complex numbers",
    net(_rotated, a=lambda: conv(3, 8), b=lambda: conv(3, 8), out=lambda: conv(8, 4)),
    "a",
    tolerance=1e-6,
)
add(
    "bilinear layer of two branches",
    net(
        lambda m, x: m.fc(m.two(m.a(x).mean((2, 3)), m.b(x).amax((2, 3))).relu()),
        a=lambda: conv(3, 8),
        b=lambda: conv(3, 6),
        two=lambda: nn.Bilinear(8, 6, 5),
        fc=lambda: nn.Linear(5, 4),
    ),
    "a b two",
    hooks=False,
)
