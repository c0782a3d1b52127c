"""Patterns: weights that are not simply weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from patterns.base import Net, abc, add, conv, image, net, unit

add(
    "bare parameter that scales",
    net(
        lambda m, x: m.out(m.b(m.a(x) * m.g) * m.h[None, :, None, None]),
        a=lambda: conv(3, 8),
        g=lambda: nn.Parameter(torch.randn(1, 8, 1, 1)),
        b=lambda: conv(8, 6),
        h=lambda: nn.Parameter(torch.randn(6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "buffer that scales",
    net(
        lambda m, x: m.out(m.a(x) * m.g),
        a=lambda: conv(3, 8),
        g=lambda: torch.rand(8, 1, 1) + 0.5,
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "one scalar parameter (0-d)",
    net(
        lambda m, x: m.out(m.b(m.a(x)) * m.g + m.h),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        g=lambda: nn.Parameter(torch.tensor(0.7)),
        h=lambda: nn.Parameter(torch.tensor([0.2])),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "positional map of a parameter",
    net(
        lambda m, x: m.out(m.a(x) + m.p),
        a=lambda: conv(3, 8),
        p=lambda: nn.Parameter(torch.randn(1, 8, 8, 8)),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "F.conv2d with a bare parameter",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.w, m.c, padding=1).relu()),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8, 3, 3)),
        c=lambda: nn.Parameter(torch.randn(6)),
        out=lambda: conv(6, 4),
    ),
    "a w",
)
add(
    "F.linear and matmul with bare parameters",
    net(
        lambda m, x: F.linear((m.a(x).mean((2, 3)) @ m.w + m.c).relu(), m.v),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 6)),
        c=lambda: nn.Parameter(torch.randn(6)),
        v=lambda: nn.Parameter(torch.randn(4, 6)),
    ),
    "a w",
    hooks=False,
)
add(
    "einsum with a parameter",
    net(
        lambda m, x: m.out(torch.einsum("bchw,dc->bdhw", m.a(x), m.w).relu()),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8)),
        out=lambda: conv(6, 4),
    ),
    "a w",
    hooks=False,
)
add(
    "einsum of two branches",
    net(
        lambda m, x: m.fc(torch.einsum("bchw,bchw->bc", y := m.a(x), m.b(y))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 8),
        fc=lambda: nn.Linear(8, 4),
    ),
    "a",
)
add(
    "bilinear pooling",
    net(
        lambda m, x: m.fc(torch.einsum("bchw,bdhw->bcd", m.a(x), m.b(x)).flatten(1)),
        a=lambda: conv(3, 6),
        b=lambda: conv(3, 5),
        fc=lambda: nn.Linear(30, 4),
    ),
    "",
    locked={"a": "", "b": ""},
)
add(
    "weight standardisation by hand",
    net(
        lambda m, x: m.out(m.b(F.conv2d(m.a(x), m.w - m.w.mean((1, 2, 3), keepdim=True), padding=1))),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8, 3, 3)),
        b=lambda: conv(6, 6),
        out=lambda: conv(6, 4),
    ),
    "b w",
    locked={"a": ""},
)
add(
    "weight scaled before use",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.w * 0.5, padding=1)),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8, 3, 3)),
        out=lambda: conv(6, 4),
    ),
    "a w",
    hooks=False,
)
add(
    "kernels summed before use",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.b.weight + F.pad(m.c.weight, (1, 1, 1, 1)), padding=1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        c=lambda: conv(8, 6, 1),
        out=lambda: conv(6, 4),
    ),
    "a",
    locked={"b": "'b.bias' beside it has its width and no run has touched it"},
    hooks=False,
)
add(
    "weight_norm, new",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: parametrizations.weight_norm(conv(3, 8)),
        b=lambda: parametrizations.weight_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "weight_norm, old",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: nn.utils.weight_norm(conv(3, 8)),
        b=lambda: nn.utils.weight_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "weight_norm of the whole tensor",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: parametrizations.weight_norm(conv(3, 8), dim=None),
        b=lambda: parametrizations.weight_norm(conv(8, 6), dim=None),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "spectral_norm, new",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: parametrizations.spectral_norm(conv(3, 8)),
        b=lambda: parametrizations.spectral_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "spectral_norm, old",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: nn.utils.spectral_norm(conv(3, 8)),
        b=lambda: nn.utils.spectral_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)


def _tied() -> nn.Module:
    m = Net(
        lambda m, x: m.out(m.b(m.c(m.a(x)).relu())), a=conv(3, 8), b=conv(8, 8), c=conv(8, 8), out=conv(8, 4)
    )
    m.c.weight = m.b.weight
    return m


def _encoder_decoder() -> nn.Module:
    m = Net(lambda m, x: m.dec(m.enc(x).relu()), enc=nn.Linear(12, 8, bias=False), dec=nn.Linear(8, 12))
    m.dec.weight = nn.Parameter(torch.randn(12, 8))
    return m


add("tied weights", _tied, "a")
add("linear autoencoder", _encoder_decoder, "enc", torch.randn(3, 12))
add(
    "tied autoencoder, transposed",
    net(lambda m, x: F.linear(m.enc(x).relu(), m.enc.weight.t()), enc=lambda: nn.Linear(12, 8)),
    "enc",
    torch.randn(3, 12),
    hooks=False,
)
add("one module called twice", abc(lambda m, x: m.out(m.b(m.b(m.a(x)).relu()).relu())), "a")
add(
    "one module on two scales",
    abc(lambda m, x: m.out(m.b(y := m.a(x))) + F.interpolate(m.out(m.b(F.avg_pool2d(y, 2))), scale_factor=2)),
    "a b",
)
add(
    "siamese branches",
    net(
        lambda m, x, y: m.fc(torch.abs(m.a(x).mean((2, 3)) - m.a(y).mean((2, 3)))),
        a=lambda: nn.Sequential(*unit(3, 8), *unit(8, 6)),
        fc=lambda: nn.Linear(6, 1),
    ),
    "a.0 a.3",
    (image(), image().flip(2) * 0.5),
)
add(
    "siamese branches, concatenated",
    net(
        lambda m, x, y: m.fc(torch.cat([m.a(x).mean((2, 3)), m.a(y).mean((2, 3))], 1)),
        a=lambda: nn.Sequential(*unit(3, 8), *unit(8, 6)),
        fc=lambda: nn.Linear(12, 2),
    ),
    "a.0 a.3",
    (image(), image()),
)
add(
    "conv kernel made by a network",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.k.view(6, 8, 1, 1))),
        a=lambda: conv(3, 8),
        k=lambda: nn.Parameter(torch.randn(48)),
        out=lambda: conv(6, 4),
    ),
    "",
    locked={"a": ""},
    hooks=False,
)
add(
    "stored layers merged (Sequential surgery)",
    lambda: nn.Sequential(
        *list(
            nn.Sequential(
                *unit(3, 8), *unit(8, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 9)
            ).children()
        )[:-1],
        nn.Linear(6, 2),
    ),
    "0 3",
)
add(
    "ModuleList and ModuleDict",
    net(
        lambda m, x: m.heads["x"](m.layers[1](m.layers[0](x))),
        layers=lambda: nn.ModuleList([unit(3, 8), unit(8, 6)]),
        heads=lambda: nn.ModuleDict({"x": conv(6, 2)}),
    ),
    "layers.0.0 layers.1.0",
)


def _frozen() -> nn.Module:
    m = Net(lambda m, x: m.out(m.b(m.a(x).detach()).relu()), a=unit(3, 8), b=conv(8, 6), out=conv(6, 4))
    for p in m.a.parameters():
        p.requires_grad_(False)
    return m


add("frozen parameters, detach in the path", _frozen, "a.0 b")
add(
    "no_grad around the backbone",
    net(
        lambda m, x: m.out(m.b(_no_grad(m.a, x))),
        a=lambda: unit(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a.0 b",
)


def _no_grad(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


add(
    "bias computed from a table by a small network (Swin V2)",
    net(
        lambda m, x: m.out(m.a(x) + m.q(m.p(m.table).relu()).t()[None, :, :, None]),
        a=lambda: conv(3, 8),
        table=lambda: torch.randn(8, 2),
        p=lambda: nn.Linear(2, 6),
        q=lambda: nn.Linear(6, 8, bias=False),
        out=lambda: conv(8, 4),
    ),
    "a p",
    example=image(batch=1),  # what the table costs does not grow with the batch
)
add(
    "bias computed from a table, no biases inside",
    net(
        lambda m, x: m.out(m.a(x) + m.q(m.p(m.table).relu()).t()[None, :, :, None]),
        a=lambda: conv(3, 8),
        table=lambda: torch.randn(8, 2),
        p=lambda: nn.Linear(2, 6, bias=False),
        q=lambda: nn.Linear(6, 8, bias=False),
        out=lambda: conv(8, 4),
    ),
    "a p",
    example=image(batch=1),  # what the table costs does not grow with the batch
)
