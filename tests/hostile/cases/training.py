"""S5: what training alone uses: running means, noise levels, class centres, a literal view, auxiliary heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hostile.base import body, case, conv, features, net


def _running(m: Any, x: Tensor) -> Tensor:
    h = features(m, x)
    if m.training:
        m.mean.mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
    return m.head(h)


case("S5 a running mean of its own", net(_running, **body(mean=lambda: torch.zeros(6))))


def _noisy(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    if m.training:
        h = h + torch.randn_like(h) * m.level.view(1, -1, 1, 1)
    return m.head(m.b(h.relu()).relu().mean((2, 3)))


case("S5 noise of a level a channel", net(_noisy, **body(level=lambda: nn.Parameter(torch.rand(8)))))


def _centres(m: Any, x: Tensor) -> Any:
    h = features(m, x)
    return (m.head(h), torch.cdist(h, m.centres)) if m.training else m.head(h)


case("S5 class centres", net(_centres, **body(centres=lambda: nn.Parameter(torch.randn(4, 6)))))


def _literal(m: Any, x: Tensor) -> Tensor:
    h = m.b(m.a(x).relu()).relu()
    if m.training:
        h = h.view(h.shape[0], 6, -1).mean(-1)
        return m.head(h)
    return m.head(h.mean((2, 3)))


case("S5 a literal view", net(_literal, **body()))


def _auxiliary(m: Any, x: Tensor) -> Any:
    h = m.a(x).relu()
    y = m.head(m.b(h).relu().mean((2, 3)))
    return (y, m.aux(h.mean((2, 3)))) if m.training else y


case("S5 an auxiliary head", net(_auxiliary, **body(aux=lambda: nn.Linear(8, 4))))


def _fused(m: Any, x: Tensor) -> Tensor:
    """A branch for training, a single layer for inference."""
    h = m.a(x) + m.side(x) if m.training else m.a(x)
    return m.head(m.b(h.relu()).relu().mean((2, 3)))


case("S5 a second branch", net(_fused, **body(side=lambda: conv(3, 8, 1))))


class _Dictionary(nn.Module):
    """Vector quantisation: its code book moves in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(5, 6))

    def forward(self, h: Tensor) -> Tensor:
        nearest = torch.cdist(h, self.codes).argmin(1)
        if self.training:
            with torch.no_grad():
                self.codes[nearest] = 0.9 * self.codes[nearest] + 0.1 * h
        return self.codes[nearest] + h


case("S5 a code book", net(lambda m, x: m.head(m.vq(features(m, x))), **body(vq=_Dictionary)), prunes=False)
