"""S2: parameters and operations whose names look like something else."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hostile.base import body, case, conv, net

_LIB = torch.library.Library("mylib", "DEF")
_LIB.define("contiguous(Tensor x) -> Tensor")


def _mean_added(x: Tensor) -> Tensor:
    return x + x.mean(1, keepdim=True)  # mixes channels: nothing of this may be taken for a copy


_LIB.impl("contiguous", _mean_added, "CompositeExplicitAutograd")
_LIB.impl("contiguous", lambda x: torch.empty_like(x), "Meta")


def _weights(*shape: int, shift: float = 0.0) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=torch.Generator().manual_seed(7)) * 0.3 + shift)


case(
    "S2 bare parameters named w_g and w_v",
    net(
        lambda m, x: m.head(
            F.conv2d(F.conv2d(x, m.w_v, padding=1).relu(), m.b_weight, padding=1).mean((2, 3)) * m.w_g
        ),
        w_v=lambda: _weights(8, 3, 3, 3),
        b_weight=lambda: _weights(6, 8, 3, 3),
        w_g=lambda: _weights(6, shift=1.0),
        head=lambda: nn.Linear(6, 4),
    ),
    prunes=False,
)
case(
    "S2 w_g of the shape weight norm has",
    net(
        lambda m, x: m.head(
            F.conv2d(m.a(x).relu(), m.w_v, padding=1).mul(m.w_g.view(1, -1, 1, 1)).relu().mean((2, 3))
        ),
        a=lambda: conv(3, 8),
        w_g=lambda: _weights(6, 1, 1, 1, shift=1.0),
        w_v=lambda: _weights(6, 8, 3, 3),
        head=lambda: nn.Linear(6, 4),
    ),
    prunes=False,
)
case(
    "S2 bare parameters named m_orig, m_u, m_v",
    net(
        lambda m, x: m.head(
            (F.conv2d(m.a(x).relu(), m.m_orig, padding=1).mean((2, 3)) + m.m_u) + m.m_v.sum()
        ),
        a=lambda: conv(3, 8),
        m_orig=lambda: _weights(6, 8, 3, 3),
        m_u=lambda: _weights(6),
        m_v=lambda: _weights(72),
        head=lambda: nn.Linear(6, 4),
    ),
    prunes=False,
)
case(
    "S2 an operation named mylib::contiguous",
    net(lambda m, x: m.head(m.b(torch.ops.mylib.contiguous(m.a(x).relu())).relu().mean((2, 3))), **body()),
)
case(
    "S2 a weight that weight norm makes, old style",
    lambda: nn.Sequential(
        torch.nn.utils.weight_norm(conv(3, 8)),
        nn.ReLU(),
        torch.nn.utils.weight_norm(conv(8, 6)),
        nn.ReLU(),
        conv(6, 4, 1),
    ),
    tolerance=1e-6,  # its scale is written anew, rounded to float32
)
case(
    "S2 a weight that weight norm makes, new style",
    lambda: nn.Sequential(
        torch.nn.utils.parametrizations.weight_norm(conv(3, 8)),
        nn.ReLU(),
        torch.nn.utils.parametrizations.weight_norm(conv(8, 6)),
        nn.ReLU(),
        conv(6, 4, 1),
    ),
    tolerance=1e-6,
)


class _Lookalike(nn.Module):
    """A layer named Linear that adds the mean of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = _weights(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) + x.mean(-1, keepdim=True)


_Lookalike.__name__ = "Linear"
case(
    "S2 a module named Linear that is none",
    lambda: nn.Sequential(
        conv(3, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), _Lookalike(), nn.ReLU(), nn.Linear(6, 4)
    ),
)
case(
    "S2 parts named weight and bias",
    net(
        lambda m, x: m.head(m.bias(m.weight(x).relu()).mean((2, 3))),
        weight=lambda: conv(3, 8),
        bias=lambda: conv(8, 6),
        head=lambda: nn.Linear(6, 4),
    ),
)
