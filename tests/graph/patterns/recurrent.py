"""Patterns: recurrent."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from patterns.base import add, net, unit

for kind in ("LSTM", "GRU", "RNN"):
    add(
        f"conv to {kind}",
        net(
            lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
            a=lambda: unit(3, 8),
            r=lambda kind=kind: getattr(nn, kind)(8, 5, batch_first=True),
            fc=lambda: nn.Linear(5, 3),
        ),
        "a.0",
    )
add(
    "CRNN: frequency folded into features",
    net(
        lambda m, x: m.fc(m.r(m.a(x).permute(0, 3, 1, 2).flatten(2))[0].mean(1)),
        a=lambda: unit(3, 8),
        r=lambda: nn.GRU(64, 5, batch_first=True, bidirectional=True, num_layers=2),
        fc=lambda: nn.Linear(10, 3),
    ),
    "a.0",
)
add(
    "LSTM of width equal to its input",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
        a=lambda: unit(3, 5),
        r=lambda: nn.LSTM(5, 5, num_layers=2, bidirectional=True, batch_first=True),
        fc=lambda: nn.Linear(10, 3),
    ),
    "a.0",
)
add(
    "LSTM without biases, time first",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).permute(2, 0, 1))[0][-1]),
        a=lambda: unit(3, 8),
        r=lambda: nn.LSTM(8, 5, bias=False),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0",
)
add(
    "LSTM projected",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
        a=lambda: unit(3, 8),
        r=lambda: nn.LSTM(8, 6, proj_size=4, batch_first=True),
        fc=lambda: nn.Linear(4, 3),
    ),
    "a.0",
)
add(
    "recurrent cell in a loop",
    net(
        lambda m, x: m.fc(_loop(m, m.a(x).mean(2))),
        a=lambda: unit(3, 8),
        r=lambda: nn.GRUCell(8, 5),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0",
    hooks=False,
)
add(
    "transformer encoder layer behind a conv",
    net(
        lambda m, x: m.fc(m.t(m.a(x).flatten(2).transpose(1, 2)).mean(1)),
        a=lambda: unit(3, 8),
        t=lambda: nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True),
        fc=lambda: nn.Linear(8, 3),
    ),
    "t.linear1",
    locked={"a.0": ""},
)


def _loop(m: Any, x: Tensor) -> Tensor:
    h = x.new_zeros(x.shape[0], 5)
    for i in range(x.shape[2]):
        h = m.r(x[:, :, i], h)
    return h
