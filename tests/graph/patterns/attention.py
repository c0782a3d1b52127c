"""Patterns: attention, whose heads may leave one by one."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import add, net, unit


class Heads(nn.Module):
    """Self-attention as most code has it; `how` says which way of writing it."""

    def __init__(self, width: int, heads: int, each: int, how: str, bias: str = "") -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, each
        self.attn_dim, self.scale = heads * each, each**-0.5
        self.how, self.bias = how, bias
        if how.startswith("separate"):
            self.q, self.k, self.v = (nn.Linear(width, heads * each) for _ in range(3))
        else:
            self.qkv = nn.Linear(width, 3 * heads * each)
        if "norm" in how:
            self.q_norm, self.k_norm = nn.LayerNorm(each), nn.LayerNorm(each)
        if bias == "table":
            self.table = nn.Parameter(torch.randn(9, heads))
            self.register_buffer("index", torch.arange(16 * 16).view(16, 16) % 9)
        elif bias == "whole":
            self.table = nn.Parameter(torch.randn(1, heads, 16, 16))
        elif bias == "talking":
            self.talk = nn.Linear(heads, heads)
        self.proj = nn.Linear(heads * each, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attention over the places of x, shape (batch, places, width)."""
        b, n, _ = x.shape
        q, k, v = self.split(x, b, n)
        if "norm" in self.how:
            q, k = self.q_norm(q), self.k_norm(k)
        if "fused" in self.how:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.added())
        elif "einsum" in self.how:
            y = torch.einsum("bhij,bhjd->bhid", (torch.einsum("bhid, bhjd -> bhij", q, k)).softmax(-1), v)
        else:
            attn = (q * self.scale) @ k.transpose(-2, -1)
            attn = attn if self.added() is None else attn + self.added()
            if self.bias == "talking":
                attn = self.talk(attn.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            y = attn.softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(b, n, self.attn_dim if "attr" in self.how else -1))

    def split(self, x: Tensor, b: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each of shape (batch, heads, places, width of a head)."""
        if self.how.startswith("separate"):
            shape = (b, n, self.num_heads, self.head_dim)
            made = [part(x).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v)]
        elif "chunk" in self.how:
            made = [
                part.view(b, n, -1, self.head_dim).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
            ]
        elif "inner" in self.how:
            y = self.qkv(x).view(b, n, self.num_heads, 3 * self.head_dim).transpose(1, 2)
            made = list(y.chunk(3, dim=-1))
        else:
            y = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
            made = [y[0], y[1], y[2]] if "picked" in self.how else list(y.unbind(0))
        return made[0], made[1], made[2]

    def added(self) -> Tensor | None:
        """What is added to the products of queries and keys."""
        if self.bias == "table":
            return self.table[self.index.view(-1)].view(16, 16, -1).permute(2, 0, 1).unsqueeze(0)
        return self.table if self.bias == "whole" else None


def _tokens(m: Any, x: Tensor) -> Tensor:
    y = m.a(x).flatten(2).transpose(1, 2)
    return m.fc((y + m.t(y)).mean(1))


def attended(layer: Any) -> Any:
    """A convolution, attention over 16 of its places around which its channels go, and a classifier."""
    return net(
        _tokens,
        a=lambda: nn.Sequential(unit(3, 8), nn.AvgPool2d(2)),
        t=layer,
        fc=lambda: nn.Linear(8, 3),
    )


for how in (
    "qkv, fused, attr",
    "qkv, products, attr",
    "qkv picked, fused",
    "qkv picked, products",
    "chunk, fused",
    "inner, products",
    "separate, fused, attr",
    "separate, products",
    "separate, einsum",
    "norm, fused",
):
    add(
        f"attention: {how}",
        attended(lambda how=how: Heads(8, 4, 6, how)),
        "a.0.0 " + ("t.q" if how.startswith("separate") else "t.qkv"),
    )
for bias in ("table", "whole"):
    for how in ("fused", "products"):
        add(
            f"attention: {how}, position bias by {bias}",
            attended(lambda how=how, bias=bias: Heads(8, 4, 6, how, bias)),
            "a.0.0 t.qkv",
        )
add(
    "attention: as many heads as they are wide",
    attended(lambda: Heads(8, 6, 6, "qkv, fused, attr")),
    "a.0.0 t.qkv",
)
add(
    "attention: heads mixed with each other",
    attended(lambda: Heads(8, 4, 6, "products", "talking")),
    "a.0.0 t.qkv",
)
add(
    "attention: nn.MultiheadAttention",
    net(
        lambda m, x: m.fc((y := m.a(x).flatten(2).transpose(1, 2)).mean(1) + m.t(m.p(y), y, y)[0].mean(1)),
        a=lambda: nn.Sequential(unit(3, 8), nn.AvgPool2d(2)),
        p=lambda: nn.Linear(8, 8),
        t=lambda: nn.MultiheadAttention(8, 2, batch_first=True),
        fc=lambda: nn.Linear(8, 3),
    ),
    "",
    locked={"t": "no head can leave alone"},
)
