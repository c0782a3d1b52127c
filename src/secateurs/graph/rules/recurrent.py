"""Recurrent layers read a prunable input; their hidden sizes stay."""

from __future__ import annotations

import math
from collections.abc import Callable

from secateurs.graph.labels import Labels
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.contraction import _read, add_term

Rule = Callable[[Labels, Op], None]


def _recurrent(labels: Labels, op: Op) -> None:
    x = op.args[0]
    lists = [a for a in op.args[1:] if isinstance(a, (list, tuple)) and a and isinstance(a[0], Value)]
    weights: list[Value] = list(lists[-1])
    source = labels.of(x)[-1]
    labels.lock(labels.of(x)[:-1], f"is time in {op}")
    inputs: list[Value] = []
    for weight in weights:
        if (
            len(weight.shape) == 2
            and weight.shape[1] == x.shape[-1]
            and (not inputs or _same_layer(weights, weight))
        ):
            inputs.append(weight)
    for weight in weights:
        axes = labels.of(weight)
        labels.lock(axes[0], f"is a hidden size of {op}")
        if weight in inputs:
            _read(labels, weight, axes[1], source, op)
        elif len(axes) > 1:
            labels.lock(axes[1], f"is a hidden size of {op}")
    steps = float(math.prod(x.shape[:-1]))
    for weight in weights:
        if len(weight.shape) == 2:
            add_term(labels, op, steps * math.prod(weight.shape), *labels.of(weight))
    for value in (v for part in lists[:-1] for v in part):
        labels.lock_values([value], f"is a hidden state of {op}")
    for out in op.outs:
        if out is not None:
            labels.set(out, [None] * len(out.shape))


def _cell(labels: Labels, op: Op) -> None:
    """One step of a recurrent layer, as a cell: x, hidden state(s), weights of both, biases."""
    x, state, w_in, w_hidden = op.args[:4]
    reason = f"is a hidden size of {op}"
    labels.lock(labels.of(x)[:-1], f"is time in {op}")
    _read(labels, w_in, labels.of(w_in)[1], labels.of(x)[-1], op)
    labels.lock([labels.of(w_in)[0], *labels.of(w_hidden)], reason)
    for weight in (w_in, w_hidden):
        add_term(labels, op, float(x.shape[0] * math.prod(weight.shape)), *labels.of(weight))
    states = state if isinstance(state, (list, tuple)) else [state]
    labels.lock_values([v for v in (*states, *op.args[4:]) if isinstance(v, Value)], reason)
    for out in op.outs:
        if out is not None:
            labels.set(out, [None] * len(out.shape))


def _same_layer(weights: list[Value], weight: Value) -> bool:
    """Input weights of the first layer: position 0, and the reverse direction's after the first four."""
    place = next(i for i, w in enumerate(weights) if w is weight)
    biases = any(len(w.shape) == 1 for w in weights)
    return place in (0, 4 if biases else 2) and weights[0].shape == weight.shape


RULES: dict[str, Rule] = {
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _cell),
}
