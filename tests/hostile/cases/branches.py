"""S4: layers that the example does not reach. With one example, what was not run stays whole or goes along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hostile.base import body, case, conv, features, image, net


def _by_size(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).relu()
    if x.shape[-1] > 10:
        h = m.c(h).relu()
    return m.head(m.b(h).relu().mean((2, 3)))


case("S4 a layer for large images only", net(_by_size, **body(c=lambda: conv(8, 8))))


def _maybe(m: Any, x: Tensor, more: Tensor | None = None) -> Tensor:
    h = m.a(x).relu()
    if more is not None:
        h = h + m.c(more)
    return m.head(m.b(h).relu().mean((2, 3)))


case("S4 an optional input that is not given", net(_maybe, **body(c=lambda: conv(3, 8))))
case(
    "S4 an optional input that is given",
    net(_maybe, **body(c=lambda: conv(3, 8))),
    example=(image(), image()),
)


def _asked(m: Any, x: Tensor, return_features: bool = False) -> Any:
    h = features(m, x)
    return (m.head(h), m.proj(h)) if return_features else m.head(h)


case("S4 return_features is not asked for", net(_asked, **body(proj=lambda: nn.Linear(6, 3))))


def _early(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).relu()
    if float(h.mean()) > 100:
        return m.early(h.mean((2, 3)))
    return m.head(m.b(h).relu().mean((2, 3)))


case("S4 an early exit that is not taken", net(_early, **body(early=lambda: nn.Linear(8, 4))))


def _many(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).relu()
    h = m.small(h) if h.shape[-1] <= 8 else m.large(h)
    return m.head(m.b(h).relu().mean((2, 3)))


case(
    "S4 one of two layers by size", net(_many, **body(small=lambda: conv(8, 8), large=lambda: conv(8, 8, 5)))
)


def _table_by_size(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).relu()
    if x.shape[-1] > 10:
        h = h * m.scale.view(1, -1, 1, 1)
    return m.head(m.b(h).relu().mean((2, 3)))


case(
    "S4 a bare parameter for large images only",
    net(_table_by_size, **body(scale=lambda: nn.Parameter(torch.rand(8)))),
)


def _tried(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).relu()
    try:
        h = m.c(h)
    except RuntimeError:  # code that goes another way where shapes do not fit
        h = h * 2
    return m.head(m.b(h).relu().mean((2, 3)))


case("S4 a try around a layer", net(_tried, **body(c=lambda: conv(8, 8))))
