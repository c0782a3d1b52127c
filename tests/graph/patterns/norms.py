"""Patterns: normalisations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import add, conv, net

add(
    "GroupNorm, whole groups leave",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.GroupNorm(4, 8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "GroupNorm without affine",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.GroupNorm(4, 8, affine=False),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "GroupNorm of one group",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x)).relu())),
        a=lambda: conv(3, 8),
        n=lambda: nn.GroupNorm(1, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "normalised together"},
)
add(
    "functional group norm with a literal",
    net(
        lambda m, x: m.out(m.b(F.group_norm(m.a(x), 4).relu())),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "functional group norm with an attribute",
    net(
        lambda m, x: m.out(m.b(F.group_norm(m.a(x), m.parts).relu())),
        a=lambda: conv(3, 8),
        parts=lambda: 4,
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "InstanceNorm",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.InstanceNorm2d(8, affine=True),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "InstanceNorm without parameters",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.InstanceNorm2d(8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "batch norm without affine or statistics",
    net(
        lambda m, x: m.out(m.k(m.n(m.a(x)).relu())),
        a=lambda: conv(3, 8),
        n=lambda: nn.BatchNorm2d(8, affine=False),
        k=lambda: nn.BatchNorm2d(8, track_running_stats=False),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "LayerNorm by permute (LayerNorm2d)",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.LayerNorm(8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "normalised together"},
)
add(
    "LayerNorm by hand",
    net(
        lambda m, x: m.out(
            m.b(((y := m.a(x)) - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True) + 1e-5).sqrt() * m.w)
        ),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(1, 8, 1, 1)),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "LayerNorm over channels and space",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x)))),
        a=lambda: conv(3, 8),
        n=lambda: nn.LayerNorm([8, 8, 8]),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "normalised together"},
)
add(
    "LayerNorm over space only",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x)))),
        a=lambda: conv(3, 8),
        n=lambda: nn.LayerNorm([8, 8]),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "F.normalize over channels",
    net(
        lambda m, x: m.out(m.b(F.normalize(m.a(x), dim=1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "global response norm (ConvNeXt V2)",
    net(
        lambda m, x: m.out(
            m.b(
                (y := m.a(x))
                * ((g := y.norm(2, (2, 3), keepdim=True)) / (g.mean(1, keepdim=True) + 1e-6))
                * m.w
                + y
            )
        ),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(1, 8, 1, 1)),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "local response norm",
    net(
        lambda m, x: m.out(m.b(F.local_response_norm(m.a(x), 3))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "RMSNorm over channels last",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))),
        a=lambda: conv(3, 8),
        n=lambda: nn.RMSNorm(8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "PReLU per channel and shared",
    net(
        lambda m, x: m.out(m.q(m.b(m.p(m.a(x))))),
        a=lambda: conv(3, 8),
        p=lambda: nn.PReLU(8),
        b=lambda: conv(8, 6),
        q=lambda: nn.PReLU(),
        out=lambda: conv(6, 4),
    ),
    "a b",
)


def _group_std(x: Tensor, groups: int) -> Tensor:
    b, c, h, w = x.shape
    parts = x.reshape(b, groups, c // groups, h, w)
    std = parts.float().var(dim=(2, 3, 4), unbiased=False, keepdim=True).add(1e-5).sqrt().to(x.dtype)
    return std.expand(parts.shape).reshape(b, c, h, w)


class EvoNorm(nn.Module):
    """Sample-based (S0: whole groups have one deviation) or batch-based (B0: running variance and the sample's)."""

    def __init__(self, channels: int, groups: int, batch: bool = False) -> None:
        super().__init__()
        self.groups, self.batch = groups, batch
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.v = nn.Parameter(torch.ones(channels))
        if batch:
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and gate."""
        shape = (1, -1, 1, 1)
        gate = x * self.v.view(shape)
        if self.batch:
            own = x.float().var(dim=(2, 3), unbiased=False, keepdim=True).add(1e-3).sqrt() + gate
            x = x / torch.maximum(own, self.running_var.add(1e-3).sqrt().view(shape))
        else:
            x = x * gate.sigmoid() / _group_std(x, self.groups)
        return x * self.weight.view(shape) + self.bias.view(shape)


add(
    "EvoNorm S0, whole groups leave",
    net(
        lambda m, x: m.out(m.l(m.c(m.k(m.b(m.n(m.a(x))))))),
        a=lambda: conv(3, 12),
        n=lambda: EvoNorm(12, 3),
        b=lambda: conv(12, 8),
        k=lambda: EvoNorm(8, 4),
        c=lambda: conv(8, 6),
        l=lambda: EvoNorm(6, 6),
        out=lambda: conv(6, 4),
    ),
    "a b c",
)
add(
    "EvoNorm B0",
    net(
        lambda m, x: m.out(m.n(m.a(x))),
        a=lambda: conv(3, 8),
        n=lambda: EvoNorm(8, 1, batch=True),
        out=lambda: conv(8, 4),
    ),
    "a",
)
