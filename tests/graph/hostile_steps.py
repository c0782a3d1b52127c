"""Steps and endings for random networks with what usually breaks a tool that runs or copies a network."""

from __future__ import annotations

import functools
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Choose = Callable[[int], int]


class Keeper(nn.Module):
    """Parts, and plain attributes that a step may write to."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        self.table: Any = None
        self.listed: list[Tensor] = []
        self.by_size: dict[int, Tensor] = {}
        self.calls = 0
        for name, part in parts.items():
            setattr(self, name, part)


@functools.lru_cache(maxsize=64)
def _line(length: int) -> Tensor:
    return torch.linspace(0.5, 1.5, length)


def _first_use(choose: Choose, net: Any, c: int, side: int) -> Any:
    """A table made on first use, kept in an attribute, a list, a dict or an lru_cache; or a counter."""

    def attribute(m: Any, x: Tensor) -> Tensor:
        if m.table is None or m.table.shape[0] != x.shape[-1]:
            m.table = torch.linspace(0.5, 1.5, x.shape[-1])
        return x * m.table

    def listed(m: Any, x: Tensor) -> Tensor:
        if not m.listed:
            m.listed.append(torch.linspace(0.5, 1.5, 1))
        return x * m.listed[0]

    def by_size(m: Any, x: Tensor) -> Tensor:
        if x.shape[-1] not in m.by_size:
            m.by_size[x.shape[-1]] = torch.linspace(0.5, 1.5, x.shape[-1])
        return x * m.by_size[x.shape[-1]]

    def cached(m: Any, x: Tensor) -> Tensor:
        return x * _line(x.shape[-1])

    def counted(m: Any, x: Tensor) -> Tensor:
        m.calls += 1
        return x

    def kept(m: Any, x: Tensor) -> Tensor:
        m.table = x.mean((2, 3))
        return x

    return [attribute, listed, by_size, cached, counted, kept][choose(6)], Keeper(), -1, (c, side)


def _by_width(choose: Choose, net: Any, c: int, side: int) -> Any:
    """The width as a number, and slices by it."""
    kind = choose(6)
    if kind == 0:
        return (lambda x: x * x.shape[1] ** -0.5), None, -1, (c, side)
    if kind == 1:
        return (lambda x: x - x.sum(1, keepdim=True) / x.shape[1]), None, -1, (c, side)
    if kind == 2 and c % 2 == 0:
        return (lambda x: x[:, -(x.shape[1] // 2) :]), None, -1, (c // 2, side)
    if kind == 3 and c % 3 == 0:
        return (lambda x: x.narrow(1, x.shape[1] // 3, x.shape[1] // 3)), None, -1, (c // 3, side)
    if kind == 4:
        return (lambda x: x + torch.zeros(x.size(0), x.size(1), 1, 1)), None, -1, (c, side)
    return (lambda x: x / x.new_tensor(float(x.shape[1]))), None, -1, (c, side)


class Attention(nn.Module):
    """Heads over the places of a map; fused or apart, scaled by attributes or by shapes."""

    def __init__(self, c: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.width = heads, 4
        self.qkv = nn.Linear(c, 3 * heads * 4) if fused else None
        self.q, self.k, self.v = (None if fused else nn.Linear(c, heads * 4) for _ in range(3))
        self.out = nn.Linear(heads * 4, c)

    def forward(self, x: Tensor) -> Tensor:
        """Attention with a shortcut."""
        b, c, h, w = x.shape
        t = x.flatten(2).mT
        q, k, v = self.qkv(t).chunk(3, -1) if self.qkv is not None else (self.q(t), self.k(t), self.v(t))
        q, k, v = (y.unflatten(-1, (self.heads, self.width)).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(1, 2).flatten(2)).mT.reshape(b, c, h, w)


def _attention(choose: Choose, net: Any, c: int, side: int) -> Any:
    if choose(3) == 0 and c % 2 == 0:

        def run(m: Any, x: Tensor) -> Tensor:
            t = x.flatten(2).mT
            return x + m(t, t, t, need_weights=False)[0].mT.reshape(x.shape)

        return run, nn.MultiheadAttention(c, 2, batch_first=True), -1, (c, side)
    return (lambda m, x: m(x)), Attention(c, 1 + choose(3), choose(2) == 0), -1, (c, side)


def _reparametrised(choose: Choose, net: Any, c: int, side: int) -> Any:
    n = 4 + 2 * choose(3)
    layer = nn.Conv2d(c, n, 3, padding=1)
    made = (
        torch.nn.utils.parametrizations.weight_norm(layer) if choose(2) else torch.nn.utils.weight_norm(layer)
    )
    return (lambda m, x: m(x).relu()), made, -1, (n, side)


def _branch(choose: Choose, net: Any, c: int, side: int) -> Any:
    """A layer for larger images, for training, or for an input that never comes."""
    kind = choose(3)
    if kind == 0:
        limit = side
        return (
            (lambda m, x: m.big(x) if x.shape[-1] > limit else x),
            Keeper(big=nn.Conv2d(c, c, 3, padding=1)),
            -1,
            (c, side),
        )
    if kind == 1:
        return (
            (lambda m, x: x + m.level.view(1, -1, 1, 1) if m.training else x),
            Keeper(level=nn.Parameter(torch.rand(c))),
            -1,
            (c, side),
        )
    return (
        (lambda m, x: m.rare(x) if bool((x > 1e6).all()) else x),
        Keeper(rare=nn.Conv2d(c, c, 1)),
        -1,
        (c, side),
    )


def _dropped(choose: Choose, net: Any, c: int, side: int) -> Any:
    net.random = True
    return (lambda x: F.dropout(x, 0.2, training=True)), None, -1, (c, side)


@dataclass
class Boxed:
    """An output that no container of PyTorch's holds."""

    main: Tensor
    more: Any = None


def _masked(value: float) -> Callable[[list[Tensor]], Any]:
    def hide(outs: list[Tensor]) -> Any:
        gone = torch.zeros(outs[0].shape[1], dtype=torch.bool)
        gone[0] = True
        shape = (1, -1, *[1] * (outs[0].dim() - 2))
        return [outs[0].masked_fill(gone.view(shape), value), *outs[1:]]

    return hide


ENDINGS: dict[str, Callable[[list[Tensor]], Any]] = {
    "dataclass": lambda outs: Boxed(outs[0], outs[1:]),
    "namespace": lambda outs: SimpleNamespace(a=outs),
    "user's dict": lambda outs: UserDict(a=outs[0], b=tuple(outs[1:])),
    "generator": lambda outs: (y for y in outs),
    "masked by -1e9": _masked(-1e9),
    "masked by -inf": _masked(-float("inf")),
    "1e12 beside": lambda outs: (*outs, torch.full((1,), 1e12, dtype=outs[0].dtype)),
    "saturated": lambda outs: [(y + 80).sigmoid() for y in outs],
}

STEPS: dict[str, Callable[..., Any]] = {
    "first use": _first_use,
    "by width": _by_width,
    "attention": _attention,
    "reparametrised": _reparametrised,
    "branch": _branch,
    "dropped": _dropped,
}
NAMES = ["first use", "first use", "by width", "by width", "attention", "reparametrised", "branch", "dropped"]
