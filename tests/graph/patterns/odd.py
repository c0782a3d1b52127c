"""Patterns: code that torch.export cannot follow, and odd code."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import abc, add, conv, net, unit


def _stubborn(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    if float(x.sum()) > 1e9:  # depends on numbers
        x = x * 2
    for _ in range(int(x.abs().mean().item() * 0) + 2):
        x = m.b(x).relu() + x
    return m.out(x)


def _numpy(m: Any, x: Tensor) -> Tensor:
    y = m.b(m.a(x))
    scale = float(y.detach().numpy().std()) * 0 + 0.5
    return m.out(y * scale)


def _many(m: Any, x: Tensor) -> Tensor:
    """Many kinds of operations, below the level of layers."""
    if float(x.sum()) > 1e9:
        x = x * 2
    x = m.n(m.g(m.a(x)))
    y = F.adaptive_avg_pool2d(x, 1)
    x = x * m.se(y).sigmoid()
    x = torch.cat([x, F.max_pool2d(x, 3, 1, 1), F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)], 1)
    p, q = m.b(x).chunk(2, 1)
    x = F.gelu(p) * q.sigmoid()
    x = m.fc(x.flatten(2).transpose(1, 2)).softmax(1)
    return m.out(x.mean(1))


add("control flow that depends on numbers", abc(_stubborn), "", locked={"a": "taken together"})
add("a detour through numpy", abc(_numpy), "a b")
add(
    "recorded: many operations",
    net(
        _many,
        a=lambda: unit(3, 8),
        g=lambda: conv(8, 8, groups=8),
        n=lambda: nn.GroupNorm(4, 8),
        se=lambda: conv(8, 8, 1),
        b=lambda: conv(24, 12),
        fc=lambda: nn.Linear(6, 6),
        out=lambda: nn.Linear(6, 3),
    ),
    "a.0 b fc",
)
add(
    "recorded: recurrent and transposed",
    net(
        lambda m, x: m.fc(
            m.r((m.t(m.a(x * 2 if float(x.sum()) > 1e9 else x))).mean(2).transpose(1, 2))[0][:, -1]
        ),
        a=lambda: unit(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 6, 2, 2),
        r=lambda: nn.GRU(6, 5, batch_first=True),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0 r t",
    hooks=False,
)
add(
    "code that counts channels",
    net(
        lambda m, x: m.out(m.b((y := m.a(x)) / y.shape[1])),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "something else"},
)
add(
    "code that asserts its width",
    net(
        lambda m, x: m.out(m.b(_checked(m.a(x)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "needs the full size"},
)
add(
    "mean written as a sum over the width",
    net(
        lambda m, x: m.out(m.b((y := m.a(x)) - y.sum(1, keepdim=True) / 8)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "sorted channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).sort(1)[0])),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "no rule"},
)
add(
    "top channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).topk(4, 1)[0])),
        a=lambda: conv(3, 8),
        b=lambda: conv(4, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "cumulative sum over channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).cumsum(1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "FFT over space",
    net(
        lambda m, x: m.out(m.b(torch.fft.irfft2(torch.fft.rfft2(m.a(x)), s=(8, 8)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "grid_sample and affine grid",
    net(
        lambda m, x: m.out(
            m.b(
                F.grid_sample(
                    y := m.a(x),
                    F.affine_grid(m.fc(y.mean((2, 3))).view(-1, 2, 3), [2, 1, 8, 8], align_corners=False),
                    align_corners=False,
                )
            )
        ),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(8, 6),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "max pool with indices and unpool",
    net(
        lambda m, x: m.out(m.b(F.max_unpool2d(*F.max_pool2d(m.a(x), 2, return_indices=True), 2))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "padding, cropping, zero padding of space",
    net(
        lambda m, x: m.out(m.b(F.pad(m.a(x), (1, 1, 2, 2), mode="reflect"))[:, :, 2:-2, 1:-1]),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "writing into a slice of a fresh tensor",
    net(
        lambda m, x: m.out(m.b(_written(m.a(x)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a#3 b",  # of a, the last two are written nowhere
    locked={"a": "cut out by number"},
)
add(
    "masked fill and clamp by tensors",
    net(
        lambda m, x: m.out(m.b(m.a(x).masked_fill(x[:, :1] > 0, 0.0).clamp(m.low, None))),
        a=lambda: conv(3, 8),
        low=lambda: torch.tensor(-0.5),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "time-distributed: batch folded into time",
    net(
        lambda m, x: m.out(m.a(x.flatten(0, 1)).mean((2, 3)).view(x.shape[0], x.shape[1], -1).mean(1)),
        a=lambda: unit(3, 8),
        out=lambda: nn.Linear(8, 4),
    ),
    "a.0",
    torch.randn(2, 3, 3, 8, 8),
)
add(
    "temporal shift",
    net(
        lambda m, x: m.out(m.b(torch.cat([(y := m.a(x))[:, :2].roll(1, 0), y[:, 2:]], 1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a#2 b",
    locked={"a": "cut out by number"},
)
add(
    "dropout variants",
    net(
        lambda m, x: m.out(m.e(m.b(m.d(m.a(x))))),
        a=lambda: conv(3, 8),
        d=lambda: nn.Dropout2d(),
        b=lambda: conv(8, 6),
        e=lambda: nn.AlphaDropout(),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "activations",
    net(
        lambda m, x: m.out(m.acts(m.a(x))),
        a=lambda: conv(3, 8),
        acts=lambda: nn.Sequential(
            nn.Hardswish(),
            nn.SiLU(),
            nn.Mish(),
            nn.ELU(),
            nn.SELU(),
            nn.CELU(),
            nn.GELU(),
            nn.Softplus(),
            nn.LeakyReLU(),
            nn.ReLU6(),
            nn.Hardsigmoid(),
            nn.Hardtanh(),
            nn.Softsign(),
            nn.Tanhshrink(),
            nn.LogSigmoid(),
            nn.RReLU(),
            nn.Threshold(0.1, 0.2),
            nn.Tanh(),
        ),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "pools",
    net(
        lambda m, x: m.out(
            F.lp_pool2d(F.adaptive_max_pool2d(F.avg_pool2d(F.max_pool2d(m.a(x), 2, 1, 1), 2), 4), 2.0, 2)
        ),
        a=lambda: conv(3, 8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "stochastic depth",
    net(
        lambda m, x: m.out(
            (y := m.a(x))
            + (m.b(y) * torch.empty(y.shape[0], 1, 1, 1).bernoulli_(0.5) if m.training else m.b(y))
        ),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 8),
        out=lambda: conv(8, 4),
    ),
    "a",
)


def _checked(x: Tensor) -> Tensor:
    assert x.shape[1] == 8, "eight channels are needed"
    return x


def _written(x: Tensor) -> Tensor:
    fresh = torch.zeros(x.shape[0], 8, x.shape[2], x.shape[3], dtype=x.dtype)
    fresh[:, 2:6] = x[:, 2:6]
    return fresh
