"""Patterns: ends of the convolutional part."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from patterns.base import abc, add, conv, net, unit

add(
    "flatten into linear",
    net(
        lambda m, x: m.fc(m.b(m.a(x).relu()).relu().flatten(1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
    ),
    "a b",
)
add(
    "view by size into linear",
    net(
        lambda m, x: m.fc(m.a(x).relu().view(x.size(0), -1)),
        a=lambda: conv(3, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
    ),
    "a",
)
add(
    "view by a literal into linear",
    net(
        lambda m, x: m.fc(m.b(m.a(x)).relu().view(-1, 24)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
    ),
    "a",
    locked={"b": "needs the full size"},
)
add(
    "view by an attribute into linear",
    net(
        lambda m, x: m.fc(m.b(m.a(x)).relu().view(-1, m.features)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
        features=lambda: 24,
    ),
    "a b",
)
add(
    "adaptive pool, flatten, two linears",
    net(
        lambda m, x: m.seq(x),
        seq=lambda: nn.Sequential(
            *unit(3, 8),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 10),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(10, 4),
        ),
    ),
    "seq.0 seq.5",
)
add(
    "global mean and max, summed (PANNs head)",
    net(
        lambda m, x: m.out(F.relu(m.fc(torch.max(y := m.a(x).mean(3), dim=2)[0] + y.mean(2)))),
        a=lambda: unit(3, 8),
        fc=lambda: nn.Linear(8, 6),
        out=lambda: nn.Linear(6, 3),
    ),
    "a.0 fc",
)
add(
    "batch norm over mel bins, then conv (PANNs)",
    net(
        lambda m, x: m.out(m.a(m.bn(x.transpose(1, 3)).transpose(1, 3)).mean((2, 3))),
        bn=lambda: nn.BatchNorm2d(8),
        a=lambda: unit(3, 8),
        out=lambda: nn.Linear(8, 3),
    ),
    "a.0",
)
add(
    "pyramid pooling with interpolate",
    net(
        lambda m, x: m.out(
            torch.cat(
                [
                    y := m.a(x),
                    F.interpolate(m.b(F.adaptive_avg_pool2d(y, 2)), size=y.shape[2:], mode="bilinear"),
                ],
                1,
            )
        ),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6, 1),
        out=lambda: conv(14, 4),
    ),
    "a.0 b.0",
)
add(
    "softmax over channels as output",
    net(lambda m, x: m.b(m.a(x)).softmax(1), a=lambda: conv(3, 8), b=lambda: conv(8, 4)),
    "a",
)
add(
    "log softmax of pooled output",
    net(
        lambda m, x: F.log_softmax(m.fc(m.a(x).mean((2, 3))), -1),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(8, 4),
    ),
    "a",
)
add(
    "mean over channels as output",
    abc(lambda m, x: m.out(m.b(y := m.a(x))) + y.mean(1, keepdim=True)),
    "b",
    locked={"a": "taken together"},
)
