"""Recurrent layers and cells: a hidden unit leaves with its rows in every gate and with whatever reads it.

Unit j of a layer of H hidden units is rows j, H + j, 2 H + j, ... of both weights and biases (one for each gate), and
column j of the weight that reads the state before. A module has one hidden size for all its layers and
directions, so that the units j of all of them leave together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateurs.contracts import IntArray
from secateurs.graph.labels import Axis, LabelError, Labels
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.contraction import _read, add_term
from secateurs.graph.rules.entry import entry_of

Rule = Callable[[Labels, Op], None]


@dataclass(frozen=True)
class _Weights:
    """One direction of one layer: the weights that read inputs and states, of shape (gates x H, ...)."""

    inputs: Value
    states: Value
    biases: tuple[Value, ...]


def _recurrent(labels: Labels, op: Op) -> None:
    """A whole layer stack: input, first states, all weights, whether there are biases, layers, ..., directions."""
    x = op.args[0]
    at = next(i for i in range(len(op.args) - 1, 0, -1) if isinstance(op.args[i], (list, tuple)))
    weights, biased, layers, both = list(op.args[at]), *op.args[at + 1 : at + 3], bool(op.args[at + 5])
    directions = 2 if both else 1
    labels.lock(labels.of(x)[:-1], f"is time in {op}")
    parts = list(_parts(weights, 4 if biased else 2, layers * directions))
    if len(parts) * (4 if biased else 2) != len(weights):
        _projected(labels, op, weights, at)
        return
    steps, source = math.prod(x.shape[:-1]), labels.of(x)[-1]
    first: Axis = None
    for layer in range(layers):
        made = [
            _direction(labels, op, part, source, steps)
            for part in parts[layer * directions : (layer + 1) * directions]
        ]
        for array in made:
            first = array if first is None else labels.unite(first, array, op)
        source = np.concatenate(made)
    states = _starting(labels, op, op.args[at - 1], first)
    for out in op.outs[1:]:
        if out is not None:
            labels.set(out, [None] * (len(out.shape) - 1) + [states])
    if op.outs[0] is not None:
        labels.set(op.outs[0], [*[None] * (len(op.outs[0].shape) - 1), source])


def _parts(weights: Sequence[Value], each: int, count: int) -> Iterator[_Weights]:
    for i in range(count):
        some = weights[i * each : (i + 1) * each]
        if len(some) == each:
            yield _Weights(some[0], some[1], tuple(some[2:]))


def _direction(labels: Labels, op: Op, part: _Weights, source: Axis, steps: int) -> IntArray:
    """One direction of one layer, or one cell; returns the labels of its hidden units."""
    gates = entry_of(op).gates
    rows = labels.of(part.inputs)[0]
    others = [labels.of(tensor)[0] for tensor in (part.states, *part.biases)]
    if not isinstance(rows, np.ndarray) or len(rows) % gates:
        raise LabelError("a single hidden unit")
    for axis in others:
        labels.unite(rows, axis, op)
    labels.tie(rows.reshape(gates, -1).T, op)
    units: IntArray = rows.reshape(gates, -1)[0]
    labels.producers.extend([rows, *(a for a in others[:1] if isinstance(a, np.ndarray))])
    _read(labels, part.inputs, labels.of(part.inputs)[1], source, op)
    _read(labels, part.states, labels.of(part.states)[1], units, op)
    for weight in (part.inputs, part.states):
        add_term(labels, op, float(steps * math.prod(weight.shape)), *labels.of(weight))
    return units


def _starting(labels: Labels, op: Op, given: Any, units: Axis) -> Axis:
    """The states that a layer or cell begins with have its hidden units, too."""
    for value in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(value, Value):
            units = labels.unite(units, labels.of(value)[-1], op)
    return units


def _projected(labels: Labels, op: Op, weights: Sequence[Value], at: int) -> None:
    """An LSTM whose states are projected: only its input may shrink."""
    reason = f"is a hidden size of an LSTM that PyTorch tells from its projection by their lengths, in {op}"
    x = op.args[0]
    layers, both = op.args[at + 2], bool(op.args[at + 5])
    each = len(weights) // (layers * (2 if both else 1))
    readers = [weights[0], *([weights[each]] if both else [])]
    for weight in weights:
        axes = labels.of(weight)
        labels.lock(axes[0], reason)
        if any(weight is reader for reader in readers):
            _read(labels, weight, axes[1], labels.of(x)[-1], op)
        elif len(axes) > 1:
            labels.lock(axes[1], reason)
        if len(axes) > 1:
            add_term(labels, op, float(math.prod([*x.shape[:-1], *weight.shape])), *axes)
    for value in op.args[at - 1] if isinstance(op.args[at - 1], (list, tuple)) else [op.args[at - 1]]:
        labels.lock_values([value], f"is a hidden state of {op}")
    for out in op.outs:
        if out is not None:
            labels.set(out, [None] * len(out.shape))


def _cell(labels: Labels, op: Op) -> None:
    """One step of a recurrent layer, as a cell: x, hidden state(s), weights of both, biases."""
    x, state, inputs, states = op.args[:4]
    biases = tuple(v for v in op.args[4:] if isinstance(v, Value))
    labels.lock(labels.of(x)[:-1], f"is time in {op}")
    part = _Weights(inputs, states, biases)
    units = _direction(labels, op, part, labels.of(x)[-1], math.prod(x.shape[:-1]))
    units_again = _starting(labels, op, state, units)
    for out in op.outs:
        if out is not None:
            labels.set(out, [*[None] * (len(out.shape) - 1), units_again])


RULES: dict[str, Rule] = {
    "recurrent": _recurrent,
    "cell": _cell,
}
