"""Patterns: additions, concatenations, products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from patterns.base import abc, add, conv, net


def _residual(m: Any, x: Tensor) -> Tensor:
    x = m.a(x).relu()
    return m.out((x + m.b(x)).relu())


add("residual", abc(_residual), "a", onnx=True)
add(
    "residual in place",
    abc(lambda m, x: m.out(m.a(x).relu_().add_(m.b(x.mean(1, keepdim=True).expand(-1, 8, -1, -1))))),
    "a",
    train=False,
)
add("concat", abc(lambda m, x: m.out(torch.cat([(y := m.a(x).relu()), m.b(y)], 1)), read=16), "a b")
add(
    "concat with itself",
    abc(lambda m, x: m.out(torch.cat([(y := m.b(m.a(x).relu())), y], 1)), read=16),
    "a b",
)
add(
    "dense block",
    net(
        lambda m, x: m.out(
            torch.cat([x0 := m.a(x), x1 := m.b(x0.relu()), m.c(torch.cat([x0, x1], 1).relu())], 1)
        ),
        a=lambda: conv(3, 6),
        b=lambda: conv(6, 4),
        c=lambda: conv(10, 4),
        out=lambda: conv(14, 5),
    ),
    "a b c",
)
add("product of branches", abc(lambda m, x: m.out(m.a(x).sigmoid() * m.b(m.a(x)))), "a")
add("maximum of branches", abc(lambda m, x: m.out(torch.maximum(y := m.a(x), m.b(y)))), "a")
add("torch.where", abc(lambda m, x: m.out(torch.where((y := m.a(x)) > 0, m.b(y), y * 0.1))), "a")
add(
    "lerp and addcmul",
    abc(lambda m, x: m.out(torch.addcmul(torch.lerp(y := m.a(x), m.b(y), 0.3), y, y, value=0.5))),
    "a",
)
add("stack and sum", abc(lambda m, x: m.out(torch.stack([y := m.a(x), m.b(y)]).sum(0))), "a")
add("stack, max over it", abc(lambda m, x: m.out(torch.stack([y := m.a(x), m.b(y)], 1).amax(1))), "a")
add("unbind of branches", abc(lambda m, x: m.out(sum(torch.stack([y := m.a(x), m.b(y)], 1).unbind(1)))), "a")
add("sum of a list", abc(lambda m, x: m.out(sum([y := m.a(x), m.b(y), y.tanh()]))), "a")
add("chained methods in place", abc(lambda m, x: m.out(m.b(m.a(x).mul_(0.5).add_(1.0).clamp_(0, 6)))), "a b")
