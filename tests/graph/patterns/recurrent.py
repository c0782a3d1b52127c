"""Patterns: recurrent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from patterns.base import add, net, signal, unit

for kind in ("LSTM", "GRU", "RNN"):
    add(
        f"conv to {kind}",
        net(
            lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
            a=lambda: unit(3, 8),
            r=lambda kind=kind: getattr(nn, kind)(8, 5, batch_first=True),
            fc=lambda: nn.Linear(5, 3),
        ),
        "a.0 r",
    )
add(
    "CRNN: frequency folded into features",
    net(
        lambda m, x: m.fc(m.r(m.a(x).permute(0, 3, 1, 2).flatten(2))[0].mean(1)),
        a=lambda: unit(3, 8),
        r=lambda: nn.GRU(64, 5, batch_first=True, bidirectional=True, num_layers=2),
        fc=lambda: nn.Linear(10, 3),
    ),
    "a.0 r",
)
add(
    "LSTM of width equal to its input",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
        a=lambda: unit(3, 5),
        r=lambda: nn.LSTM(5, 5, num_layers=2, bidirectional=True, batch_first=True),
        fc=lambda: nn.Linear(10, 3),
    ),
    "a.0 r",
)
add(
    "LSTM without biases, time first",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).permute(2, 0, 1))[0][-1]),
        a=lambda: unit(3, 8),
        r=lambda: nn.LSTM(8, 5, bias=False),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0 r",
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
    locked={"r": "needs the full size"},
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


for kind in ("LSTM", "GRU", "RNN"):
    add(
        f"{kind} of two layers and both directions, its last states read",
        net(
            lambda m, x: m.fc(_last(m.r(x.permute(2, 0, 1))[1])),
            r=lambda kind=kind: getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True),
            fc=lambda: nn.Linear(5, 3),
        ),
        "r",
        example=signal(),
    )
    add(
        f"{kind}Cell, first states of its own size",
        net(
            lambda m, x: m.fc(_cells(m, x)),
            r=lambda kind=kind: getattr(nn, f"{kind}Cell")(3, 5),
            fc=lambda: nn.Linear(5, 3),
        ),
        "r",
        example=signal(),
    )
add(
    "RNN with ReLU",
    net(
        lambda m, x: m.fc(m.r(x.transpose(1, 2))[0].mean(1)),
        r=lambda: nn.RNN(3, 5, nonlinearity="relu", batch_first=True),
        fc=lambda: nn.Linear(5, 3),
    ),
    "r",
    example=signal(),
)
add(
    "GRU that goes on from the states of another",
    net(
        lambda m, x: m.fc(m.s(y := x.permute(2, 0, 1), m.r(y)[1])[0][-1]),
        r=lambda: nn.GRU(3, 5),
        s=lambda: nn.GRU(3, 5),
        fc=lambda: nn.Linear(5, 3),
    ),
    "r",
    example=signal(),
)
add(
    "LSTM behind an LSTM, normalised between",
    net(
        lambda m, x: m.fc(m.s(m.n(m.r(x.transpose(1, 2))[0]))[0][:, -1]),
        r=lambda: nn.LSTM(3, 5, batch_first=True),
        n=lambda: nn.LayerNorm(5),
        s=lambda: nn.LSTM(5, 6, batch_first=True),
        fc=lambda: nn.Linear(6, 3),
    ),
    "s",
    locked={"r": "normalised together"},
    example=signal(),
)
add(
    "LSTM with first states of a size in the code",
    net(
        lambda m, x: m.fc(m.r(x.permute(2, 0, 1), (x.new_zeros(1, 2, 5), x.new_zeros(1, 2, 5)))[0][-1]),
        r=lambda: nn.LSTM(3, 5),
        fc=lambda: nn.Linear(5, 3),
    ),
    "",
    locked={"r": "needs the full size"},
    example=signal(),
)
add(
    "GRU with first states of its own size",
    net(
        lambda m, x: m.fc(m.r(x.permute(2, 0, 1), torch.zeros(1, x.shape[0], m.r.hidden_size).to(x))[0][-1]),
        r=lambda: nn.GRU(3, 5),
        fc=lambda: nn.Linear(5, 3),
    ),
    "r",
    example=signal(),
)
add(
    "LSTM with learned first states",
    net(
        lambda m, x: m.fc(m.r(x.permute(2, 0, 1), (m.h.expand(-1, 2, -1), m.c.expand(-1, 2, -1)))[0][-1]),
        h=lambda: nn.Parameter(torch.randn(1, 1, 5)),
        c=lambda: nn.Parameter(torch.randn(1, 1, 5)),
        r=lambda: nn.LSTM(3, 5),
        fc=lambda: nn.Linear(5, 3),
    ),
    "r",
    example=signal(),
)


def _last(states: Any) -> Tensor:
    return (states[0] if isinstance(states, tuple) else states).sum(0)


def _cells(m: Any, x: Tensor) -> Tensor:
    state = None
    for i in range(x.shape[2]):
        state = m.r(x[:, :, i], state)
    return state[0] if isinstance(state, tuple) else state


def _loop(m: Any, x: Tensor) -> Tensor:
    h = x.new_zeros(x.shape[0], 5)
    for i in range(x.shape[2]):
        h = m.r(x[:, :, i], h)
    return h
