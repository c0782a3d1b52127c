"""Patterns: inputs and outputs."""

from __future__ import annotations

import torch
from torch import nn

from patterns.base import abc, add, conv, image, net, unit
from patterns.sums import _residual

add(
    "several inputs",
    net(
        lambda m, x, y: m.out(torch.cat([m.a(x), m.b(y)], 1)),
        a=lambda: unit(3, 8),
        b=lambda: unit(2, 6),
        out=lambda: conv(14, 4),
    ),
    "a.0 b.0",
    (image(), image(2)),
)
add(
    "inputs by name, some not floats",
    net(
        lambda m, x, mask, scale: m.out(m.a(x) * mask.unsqueeze(1) * scale["gain"]),
        a=lambda: unit(3, 8),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    {"x": image(), "mask": torch.ones(2, 8, 8, dtype=torch.bool), "scale": {"gain": torch.ones(2, 1, 1, 1)}},
)
add(
    "complex dict of inputs",
    net(
        lambda m, data: m.out(torch.cat([m.a(data["image"]), m.b(data["more"][0])], 1)),
        a=lambda: unit(3, 8),
        b=lambda: unit(2, 6),
        out=lambda: conv(14, 4),
    ),
    "a.0 b.0",
    {"data": {"image": image(), "more": [image(2)]}},
)
add(
    "several outputs in a dict",
    net(
        lambda m, x: {"logits": m.out(y := m.b(m.a(x))), "extra": [m.fc(y.mean((2, 3)))]},
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        out=lambda: conv(6, 4),
        fc=lambda: nn.Linear(6, 2),
    ),
    "a.0 b.0",
)
add(
    "a feature map is an output",
    net(
        lambda m, x: (m.out(y := m.b(m.a(x))), y),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a.0",
    locked={"b.0": "output"},
)
add(
    "deep supervision",
    net(
        lambda m, x: (m.p(y := m.a(x)), m.q(z := m.b(y)), m.out(m.c(z))),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        c=lambda: unit(6, 6),
        p=lambda: conv(8, 2, 1),
        q=lambda: conv(6, 2, 1),
        out=lambda: conv(6, 4),
    ),
    "a.0 b.0 c.0",
)
add(
    "auxiliary head that only runs in training",
    net(
        lambda m, x: (m.out(m.b(y := m.a(x))), m.aux(m.h(y))) if m.training else m.out(m.b(m.a(x))),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        h=lambda: unit(8, 6),
        aux=lambda: conv(6, 4),
        out=lambda: conv(6, 4),
    ),
    "a.0 b.0 h.0",
)
add(
    "integers in: an embedding beside the image",
    net(
        lambda m, x, i: m.out(m.a(x) + m.e(i)[:, :, None, None]),
        a=lambda: unit(3, 8),
        e=lambda: nn.Embedding(5, 8),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    (image(), torch.tensor([1, 3])),
)
add(
    "batch as large as a channel count",
    net(
        lambda m, x: m.out(m.b(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
    image(batch=8),
)
add(
    "named tuple output",
    net(lambda m, x: torch.max(m.out(m.a(x)), 1), a=lambda: conv(3, 8), out=lambda: conv(8, 4)),
    "a",
)
add(
    "input added at the end",
    net(lambda m, x: m.out(m.a(x).relu()) + x, a=lambda: conv(3, 8), out=lambda: conv(8, 3)),
    "a",
)
add(
    "input normalised inside",
    net(
        lambda m, x: m.out(m.a((x - m.mean) / m.std).relu()),
        a=lambda: conv(3, 8),
        mean=lambda: torch.rand(3, 1, 1),
        std=lambda: torch.rand(3, 1, 1) + 0.5,
        out=lambda: conv(8, 3),
    ),
    "a",
)
add("double precision", lambda: abc(_residual)().double(), "a", image().double())
