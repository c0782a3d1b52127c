"""Patterns: gates and attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import add, conv, net, unit


def _se(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    return m.out(x * torch.sigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1))))))


def _se_linear(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    b, c = x.shape[:2]
    gate = m.up(F.relu(m.down(x.mean((2, 3))))).sigmoid().view(b, c, 1, 1)
    return m.out(x * gate.expand_as(x))


def _cbam(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    gate = m.up(m.down(x.mean((2, 3), keepdim=True)).relu()) + m.up(
        m.down(x.amax((2, 3), keepdim=True)).relu()
    )
    x = x * gate.sigmoid()
    where = m.space(torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)).sigmoid()
    return m.out(x * where)


add(
    "squeeze and excitation",
    net(
        _se,
        a=lambda: unit(3, 8),
        down=lambda: conv(8, 4, 1),
        up=lambda: conv(4, 8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0 down",
)
add(
    "squeeze and excitation, linear and view",
    net(
        _se_linear,
        a=lambda: unit(3, 8),
        down=lambda: nn.Linear(8, 4),
        up=lambda: nn.Linear(4, 8),
        out=lambda: conv(8, 4),
    ),
    "a.0 down",
)
add(
    "CBAM",
    net(
        _cbam,
        a=lambda: unit(3, 8),
        down=lambda: conv(8, 4, 1),
        up=lambda: conv(4, 8, 1),
        space=lambda: conv(2, 1, 7),
        out=lambda: conv(8, 4),
    ),
    "down",
    locked={"a.0": "taken together"},
)
add(
    "one-channel mask over all channels",
    net(
        lambda m, x: m.out((y := m.a(x)) * m.mask(y).sigmoid()),
        a=lambda: unit(3, 8),
        mask=lambda: conv(8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "spatial softmax gate",
    net(
        lambda m, x: m.out((y := m.a(x)) * m.mask(y).flatten(2).softmax(-1).view(2, 1, 8, 8)),
        a=lambda: unit(3, 8),
        mask=lambda: conv(8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "branch gate by softmax (selective kernel)",
    net(
        lambda m, x: m.out(
            (torch.stack([y := m.a(x), m.b(x)], 1) * m.fc(y.mean((2, 3))).view(2, 2, 8, 1, 1).softmax(1)).sum(
                1
            )
        ),
        a=lambda: unit(3, 8),
        b=lambda: unit(3, 8, 5),
        fc=lambda: nn.Linear(8, 16),
        out=lambda: conv(8, 4),
    ),
    "",
    locked={"a.0": "", "fc": ""},
)
add(
    "branch gate by softmax, sizes from the input",
    net(
        lambda m, x: m.out(
            (
                torch.stack([y := m.a(x), m.b(x)], 1)
                * m.fc(y.mean((2, 3))).view(y.shape[0], 2, y.shape[1], 1, 1).softmax(1)
            ).sum(1)
        ),
        a=lambda: unit(3, 8),
        b=lambda: unit(3, 8, 5),
        fc=lambda: nn.Linear(8, 16),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "ECA: conv over the channel axis",
    net(
        lambda m, x: m.out((y := m.a(x)) * m.c(y.mean((2, 3))[:, None]).sigmoid()[:, 0, :, None, None]),
        a=lambda: unit(3, 8),
        c=lambda: nn.Conv1d(1, 1, 3, padding=1, bias=False),
        out=lambda: conv(8, 4),
    ),
    "",
    locked={"a.0": "convolved as space"},
)
add(
    "GLU",
    net(
        lambda m, x: m.out(F.glu(m.b(m.a(x)), 1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 12),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "gate by halves (GLU by chunk)",
    net(
        lambda m, x: m.out((p := m.b(m.a(x)).chunk(2, 1))[0] * p[1].sigmoid()),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 12),
        out=lambda: conv(6, 4),
    ),
    "a b",
)


def _attention(m: Any, x: Tensor) -> Tensor:
    q, k, v = m.q(x := m.a(x)).flatten(2), m.k(x).flatten(2), m.v(x).flatten(2)
    y = v @ (q.transpose(1, 2) @ k).softmax(-1)
    return m.out(x + y.view_as(x))


add(
    "non-local attention",
    net(
        _attention,
        a=lambda: unit(3, 8),
        q=lambda: conv(8, 4, 1),
        k=lambda: conv(8, 4, 1),
        v=lambda: conv(8, 8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    locked={"q": "multiplied with other activations"},
)
add(
    "channel attention by a Gram matrix",
    net(
        lambda m, x: m.out(
            m.b(torch.bmm((z := (y := m.a(x)).flatten(2)).bmm(z.transpose(1, 2)).softmax(-1), z).view_as(y))
        ),
        a=lambda: unit(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a.0": ""},
)
