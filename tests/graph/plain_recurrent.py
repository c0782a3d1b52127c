"""Recurrent layers and cells as plain loops over time, whose reading weights see zeros in some hidden units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

Quiet = Mapping[str, Tensor]


class PlainRecurrent(nn.Module):
    """Does what an nn.LSTM, nn.GRU or nn.RNN does on three-dimensional input, step by step.

    `quiet` names, by weight, the inputs of that weight that are zero when it reads them.
    """

    def __init__(self, made: nn.RNNBase, quiet: Quiet) -> None:
        super().__init__()
        self.made, self.quiet, self.hidden_size = made, quiet, made.hidden_size

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Outputs of the last layer, and the last states."""
        made = self.made
        x = x.transpose(0, 1) if made.batch_first else x
        ends = ["", "_reverse"] if made.bidirectional else [""]
        last: list[Tensor] = []
        cells: list[Tensor] = []
        for layer in range(made.num_layers):
            outs = []
            for end in ends:
                h, c = self._first(x, state, len(last))
                steps: list[Tensor] = []
                for t in range(len(x))[:: -1 if end else 1]:
                    h, c = step(made.mode, made, self.quiet, f"_l{layer}{end}", x[t], h, c)
                    steps.append(h)
                outs.append(torch.stack(steps[::-1] if end else steps))
                last.append(h)
                cells.append(c)
            x = torch.cat(outs, -1)
        out = x.transpose(0, 1) if made.batch_first else x
        return out, (torch.stack(last), torch.stack(cells)) if made.mode == "LSTM" else torch.stack(last)

    def _first(self, x: Tensor, state: Any, place: int) -> tuple[Tensor, Tensor]:
        made = self.made
        if state is None:
            empty = x.new_zeros(x.shape[1], made.hidden_size)
            return x.new_zeros(x.shape[1], made.proj_size or made.hidden_size), empty
        return (state[0][place], state[1][place]) if made.mode == "LSTM" else (state[place], state[place])


class PlainCell(nn.Module):
    """Does what an nn.LSTMCell, nn.GRUCell or nn.RNNCell does."""

    def __init__(self, made: nn.RNNCellBase, quiet: Quiet) -> None:
        super().__init__()
        self.made, self.quiet, self.hidden_size = made, quiet, made.hidden_size

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """One step."""
        mode = {"LSTMCell": "LSTM", "GRUCell": "GRU"}.get(type(self.made).__name__, "RNN_TANH")
        empty = x.new_zeros(len(x), self.made.hidden_size)
        h, c = (empty, empty) if state is None else state if mode == "LSTM" else (state, state)
        h, c = step(mode, self.made, self.quiet, "", x, h, c)
        return (h, c) if mode == "LSTM" else h


def step(
    mode: str, made: Any, quiet: Quiet, end: str, x: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """One time step of one direction of one layer."""

    def read(kind: str, value: Tensor) -> Tensor:
        name = f"weight_{kind}{end}"
        if name in quiet:
            value = value.clone().index_fill_(-1, quiet[name], 0)
        bias = getattr(made, f"bias_{kind}{end}", None)
        out = value @ getattr(made, name).T
        return out if bias is None or kind == "hr" else out + bias

    a, b = read("ih", x), read("hh", h)
    if mode == "LSTM":
        i, f, g, o = (a + b).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return (read("hr", h) if getattr(made, "proj_size", 0) else h), c
    if mode == "GRU":
        (ri, zi, ni), (rh, zh, nh) = a.chunk(3, -1), b.chunk(3, -1)
        z, n = (zi + zh).sigmoid(), (ni + (ri + rh).sigmoid() * nh).tanh()
        return (1 - z) * n + z * h, c
    return ((a + b).relu() if mode == "RNN_RELU" else (a + b).tanh()), c
