"""Convolutions, linear layers and products: labels end at the contracted axis, new ones begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count as counter
from typing import Any

import numpy as np

from secateurs.contracts import IntArray
from secateurs.graph.labels import Axis, Free, Labels, Term
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.entry import entry_of

Rule = Callable[[Labels, Op], None]


def _read(labels: Labels, weight: Value, axis: Axis, source: Axis, op: Op) -> None:
    """The labels of `source` end in a sum over `axis` of a weight."""
    if source is None and isinstance(axis, np.ndarray):
        labels.lock(axis, f"reads an input of fixed size in {op}")
        return
    if isinstance(axis, np.ndarray) and isinstance(source, np.ndarray):
        labels.unions.append((axis, source, ""))
        fixed = source < 0
        if fixed.any():
            labels.lock(axis[fixed], f"reads padding in {op}")
    if isinstance(axis, np.ndarray):
        labels.consumers.append(axis)
        if weight in labels.derived and weight not in labels.static:
            labels.lock([axis, source], f"is read by a weight that is computed from all its inputs in {op}")
        elif weight not in labels.static:
            labels.lock([axis, source], f"is multiplied with other activations in {op}")


def add_term(labels: Labels, op: Op, macs: float, *axes: Axis) -> None:
    """Note multiply-adds that shrink with the product of the axes' lengths."""
    arrays = tuple(a for a in axes if isinstance(a, np.ndarray))
    labels.terms.append(Term(op, macs / math.prod([len(a) for a in arrays] or [1]), arrays))


def _produce(labels: Labels, axis: Axis) -> Axis:
    if isinstance(axis, np.ndarray):
        labels.producers.append(axis)
    return axis


def convolution(
    labels: Labels, op: Op, x: Value, weight: Value, bias: Value | None, transposed: bool, groups: int
) -> None:
    """All convolutions: plain, grouped, depthwise, transposed, any number of dimensions."""
    spatial = len(weight.shape) - 2
    out = op.outs[0]
    if out is None:
        return
    xa, wa = labels.of(x), list(labels.of(weight))
    channel = len(x.shape) - spatial - 1
    labels.lock(xa[channel + 1 :], f"is convolved as space in {op}")
    labels.lock(wa[2:], f"is space in {op}")
    out_axis, in_axis = (1, 0) if transposed else (0, 1)
    made, read = wa[out_axis], wa[in_axis]
    if groups == 1:
        _read(labels, weight, read, xa[channel], op)
        made = _produce(labels, made)
    else:
        made, read = _grouped(labels, op, xa[channel], weight, transposed, groups)
    if bias is not None:
        made = labels.unite(made, labels.of(bias)[0], op)
    size = math.prod(out.shape) // max(1, out.shape[channel] * (out.shape[0] if channel else 1))
    if transposed:
        size = math.prod(x.shape[channel + 1 :])
    taps = math.prod(weight.shape[2:])
    batch = out.shape[0] if channel else 1
    macs = batch * size * taps * math.prod(weight.shape[:2])
    add_term(labels, op, macs, made, read)
    labels.set(out, [*xa[:channel], made, *[None] * spatial])


def _grouped(
    labels: Labels, op: Op, source: Axis, weight: Value, transposed: bool, groups: int
) -> tuple[Axis, Axis]:
    """Grouped weights: either whole groups leave, or the same positions in every group.

    Returns the labels of the output channels and of the contracted axis of the weight, such that the
    product of their kept counts is proportional to the multiply-adds.
    """
    wa = labels.of(weight)
    per_in = weight.shape[0] // groups if transposed else weight.shape[1]
    per_out = weight.shape[1] if transposed else weight.shape[0] // groups
    stored_out, stored_in = (wa[1], wa[0]) if transposed else (wa[0], wa[1])
    if not isinstance(source, np.ndarray):
        labels.lock(stored_in, f"is grouped over an input of fixed size in {op}")
        if not transposed and isinstance(stored_out, np.ndarray):
            labels.tie(stored_out.reshape(groups, per_out).T, op)
        made = _produce(labels, stored_out)
        return (_tiled(made, groups) if transposed else made), None
    if per_in == 1 or (groups > per_in and groups > per_out):
        return _whole_groups(labels, op, source.reshape(groups, per_in), wa, transposed, per_out)
    parts = source.reshape(groups, per_in)
    labels.tie(parts.T, op)
    if isinstance(stored_in, np.ndarray):
        _read(labels, weight, stored_in, source if transposed else parts[0], op)
    if transposed:
        return _tiled(_produce(labels, stored_out), groups), parts[0]
    if isinstance(stored_out, np.ndarray):
        labels.tie(stored_out.reshape(groups, per_out).T, op)
    return _produce(labels, stored_out), stored_in


def _whole_groups(
    labels: Labels, op: Op, source: IntArray, wa: list[Axis], transposed: bool, per_out: int
) -> tuple[Axis, Axis]:
    """Each group leaves as one: its inputs, its filters and its outputs (depthwise: one channel)."""
    stored, shared = wa[0], wa[1]
    made: Axis = np.repeat(source[:, 0], per_out)
    labels.tie(source, op)
    if isinstance(stored, np.ndarray):
        labels.tie(np.concatenate([source[:, :1], stored.reshape(len(source), -1)], axis=1), op)
        made = made if transposed else stored
        if source.shape[1] > 1:
            _produce(labels, stored)
    labels.lock(shared, f"is shared by all groups in {op}")
    if isinstance(made, np.ndarray):
        labels.follow_count(op, made, per_out, "groups")
    return made, None


def _tiled(axis: Axis, groups: int) -> Axis:
    return np.tile(axis, groups) if isinstance(axis, np.ndarray) else axis


def _conv(transposed: bool) -> Rule:
    def rule(labels: Labels, op: Op) -> None:
        convolution(
            labels, op, op.args[0], op.args[1], op.arg(2, "bias"), transposed, op.arg(6, "groups", 1) or 1
        )

    return rule


def _convolution(labels: Labels, op: Op) -> None:
    convolution(labels, op, op.args[0], op.args[1], op.args[2], bool(op.args[6]), int(op.args[8]))


def contract(labels: Labels, op: Op, operands: list[Value], terms: list[str], result: str) -> None:
    """A product of tensors by index letters: `terms` names the axes of the operands, `result` those left.

    Letters that several operands share are the same channels; letters that vanish are summed over, which
    is sound where one operand is a weight.
    """
    letters: dict[str, Axis] = {}
    sizes: dict[str, int] = {}
    holders: dict[str, list[tuple[Value, Axis]]] = {}
    for value, term in zip(operands, terms, strict=True):
        for letter, axis, size in zip(term, labels.of(value), value.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
            if size == 1 and isinstance(axis, Free):
                letters.setdefault(letter, axis)
                continue
            holders.setdefault(letter, []).append((value, axis))
    for letter, held in holders.items():
        weights = [(v, a) for v, a in held if v in labels.static]
        vectors = entry_of(op).passes == "product with vector"  # a norm of weights, not a layer
        if letter in result or (len(weights) == len(held) and (vectors or len(held) == 1)):
            axis = letters[letter] = shared_by_activations(labels, op, held)
            if letter in result and len(held) == len(weights) == 1 and len(operands) > 1:
                letters[letter] = _produce(labels, axis)
        elif weights:
            weight, axis = weights[-1]
            for _, source in [h for h in held if h[0] is not weight]:
                _read(labels, weight, axis, source, op)
            letters[letter] = axis
        else:
            labels.lock([a for _, a in held], f"is multiplied with other activations in {op}")
            labels.doubt(a for _, a in held)
            letters[letter] = None
    out = op.outs[0]
    matrices = min(len(v.shape) for v in operands) > 1  # PyTorch counts no products with vectors
    if len(operands) > 1 and (matrices or any(v not in labels.static for v in operands)):
        add_term(labels, op, float(math.prod(sizes.values())), *[letters[k] for k in sizes])
    if out is not None:
        if all(v in labels.static for v in operands):
            labels.static.add(out)
        labels.set(out, [letters[k] for k in result])


def shared_by_activations(labels: Labels, op: Op, held: list[tuple[Value, Axis]]) -> Axis:
    """The axis that operands have in common: heads, say, of queries and keys.

    Where one of them took another of its axes for the channels that leave, that is doubted.
    """
    axis = held[0][1]
    for _, other in held[1:]:
        axis = labels.unite(axis, other, op)
    if isinstance(axis, np.ndarray):
        for value, own in held:
            if own is None:
                labels.doubt(labels.of(value), axis)
    return axis


def _linear(labels: Labels, op: Op) -> None:
    x, weight, bias = op.args[0], op.args[1], op.arg(2, "bias")
    lead = "".join(chr(97 + i) for i in range(len(x.shape) - 1))
    if len(weight.shape) == 1:
        contract(labels, op, [x, weight], [lead + "z", "z"], lead)
        return
    contract(labels, op, [x, weight], [lead + "z", "yz"], lead + "y")
    _add_bias(labels, op, bias)


def _add_bias(labels: Labels, op: Op, bias: Value | None) -> None:
    out = op.outs[0]
    if isinstance(bias, Value) and out is not None and bias.shape:
        axes = list(labels.of(out))
        axes[-1] = labels.unite(axes[-1], labels.of(bias)[-1], op) if bias.shape[-1] != 1 else axes[-1]
        labels.set(out, axes)
        labels.static.discard(out)  # not zero where the weight is


def _matmul(labels: Labels, op: Op) -> None:
    a, b = op.args[0], op.args[1]
    _product(labels, op, a, b)


def _product(labels: Labels, op: Op, a: Value, b: Value) -> None:
    names = counter(97)
    batch = [chr(next(names)) for _ in range(max(len(a.shape), len(b.shape), 2) - 2)]
    left = "z" if len(a.shape) == 1 else "".join(batch[len(batch) - (len(a.shape) - 2) :]) + "xz"
    right = "z" if len(b.shape) == 1 else "".join(batch[len(batch) - (len(b.shape) - 2) :]) + "zy"
    result = "".join(batch) + ("x" if len(a.shape) > 1 else "") + ("y" if len(b.shape) > 1 else "")
    contract(labels, op, [a, b], [left, right], result)


def _addmm(labels: Labels, op: Op) -> None:
    _product(labels, op, op.args[1], op.args[2])
    _add_bias(labels, op, op.args[0])


def _einsum(labels: Labels, op: Op) -> None:
    equation: str = op.args[0].replace(" ", "")
    operands: Any = op.args[1]
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if "." in equation:
        depth = max(len(v.shape) - len(t.replace("...", "")) for v, t in zip(operands, terms, strict=True))
        extra = "".join(chr(0x100 + i) for i in range(depth))
        widths = [len(v.shape) - len(t.replace("...", "")) for v, t in zip(operands, terms, strict=True)]
        terms = [t.replace("...", extra[depth - w :]) for t, w in zip(terms, widths, strict=True)]
        result = result.replace("...", extra)
    if not arrow:
        every = "".join(terms)
        result = "".join(sorted(c for c in set(every) if every.count(c) == 1))
    contract(labels, op, list(operands), terms, result)


def _bilinear(labels: Labels, op: Op) -> None:
    """y[o] = sum over i and j of x[i] w[o, i, j] z[j]."""
    x, z, weight, bias = op.args[0], op.args[1], op.args[2], op.arg(3, "bias")
    lead = "".join(chr(97 + i) for i in range(len(x.shape) - 1))
    contract(labels, op, [x, z, weight], [lead + "y", lead + "z", "xyz"], lead + "x")
    _add_bias(labels, op, bias)
    labels.terms.pop()  # PyTorch counts none


def _deformed(labels: Labels, op: Op) -> None:
    """Torchvision's deformable convolution: a convolution whose taps are read at offsets that stay whole.

    The offsets of an offset group hold for its share of the input channels, so the same places of every share leave.
    """
    x, weight, offset, mask, bias = op.args[:5]
    groups, shares = int(op.args[11]), int(op.args[12])
    for value in (offset, mask):
        labels.lock(labels.of(value)[1:2], f"is an offset or a weight of places in {op}")
    source = labels.of(x)[1]
    if shares > 1 and isinstance(source, np.ndarray):
        labels.tie(source.reshape(shares, -1).T, op)
    convolution(labels, op, x, weight, bias, False, groups)
    labels.terms.pop()  # PyTorch counts none


def _affine_grid(labels: Labels, op: Op) -> None:
    labels.lock_values(op.values(), f"is a transformation of places in {op}")
    out = op.outs[0]
    if out is not None:
        side = out.shape[-1]
        add_term(labels, op, float(math.prod(out.shape) * (side + 1)))
        labels.set(out, [None] * len(out.shape))


RULES: dict[str, Rule] = {
    "affine grid": _affine_grid,
    "bilinear": _bilinear,
    "deformable convolution": _deformed,
    "convolution": _conv(False),
    "transposed convolution": _conv(True),
    "general convolution": _convolution,
    "linear": _linear,
    "product": _matmul,
    "product with vector": _matmul,
    "sum with product": _addmm,
    "einsum": _einsum,
}
