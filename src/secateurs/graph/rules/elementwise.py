"""Operations on corresponding elements, normalisations and everything that leaves channels where they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateurs.graph.labels import FREE, Axis, Follow, Labels
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.entry import entry_of

Rule = Callable[[Labels, Op], None]


def pointwise(labels: Labels, op: Op) -> None:
    """Broadcast all tensor operands together; channels at the same place are the same channels."""
    values = list(op.values())
    out = op.outs[0] if op.outs else None
    if out is None or not values:
        return
    found: list[list[Axis]] = [[] for _ in out.shape]
    for value in values:
        shift = len(out.shape) - len(value.shape)
        for i, (axis, size) in enumerate(zip(labels.of(value), value.shape, strict=True)):
            if size == 1 and out.shape[i + shift] != 1:
                labels.lock(axis, f"is one channel spread over many in {op}")
            else:
                found[i + shift].append(axis)
    result = [_united(labels, axes, op) for axes in found]
    if all(v in labels.static for v in values) and (
        entry_of(op).keeps_zero
        or (op.name == "div" and isinstance(op.args[0], Value))
        or (op.name in ("add", "sub") and _all_labelled(labels, values, result, found))
    ):
        labels.static.add(out)
        for axes in found:
            arrays = [a for a in axes if isinstance(a, np.ndarray)]
            labels.twins.extend((arrays[0], other) for other in arrays[1:])
    for extra in op.outs:
        labels.set(extra, result)


def _all_labelled(labels: Labels, values: list[Value], result: list[Axis], found: list[list[Axis]]) -> bool:
    """Whether each operand holds the labels of each labelled axis: then zeros meet zeros only."""
    return len(values) > 1 and all(
        len([a for a in axes if isinstance(a, np.ndarray)]) == len(values)
        for axes, united in zip(found, result, strict=True)
        if isinstance(united, np.ndarray) and not labels.is_tap(united)
    )


def _united(labels: Labels, axes: list[Axis], op: Op) -> Axis:
    result: Axis = axes[0] if axes else FREE
    for axis in axes[1:]:
        result = labels.unite(result, axis, op)
    return result


def same(labels: Labels, op: Op) -> None:
    """The first tensor passes with its channels where they are (dropout, casts, copies)."""
    first = next(op.values())
    for out in op.outs:
        if out is not None and out.shape == first.shape:
            labels.set(out, labels.of(first))
            if first in labels.static:
                labels.static.add(out)


def _triangle(labels: Labels, op: Op) -> None:
    """triu, tril: what is zeroed depends on the place in the last two axes."""
    axes = labels.of(op.args[0])
    labels.lock(axes[-2:], f"is masked by place in {op}")
    labels.set(op.outs[0], axes)


def _like(labels: Labels, op: Op) -> None:
    labels.set(op.outs[0], labels.of(op.args[0]))


def _fill(labels: Labels, op: Op) -> None:
    out = op.outs[0]
    if out is not None:
        labels.set(out, [FREE] * len(out.shape))


def _spatial(labels: Labels, op: Op) -> None:
    """Pooling and resampling: the last axes are space, as many as the table says, and the others pass."""
    axes = labels.of(op.args[0])
    cut = len(axes) - entry_of(op).space
    labels.lock(axes[cut:], f"is treated as space in {op}")
    for out in op.outs:
        if out is not None:
            labels.set(out, [*axes[:cut], *[None] * (len(out.shape) - cut)])


def _batch_norm(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    for position in range(1, 5):
        value = op.args[position] if position < len(op.args) else None
        if isinstance(value, Value) and value.shape and value.shape[0] != 1:
            axes[1] = labels.unite(axes[1], labels.of(value)[0], op)
    running = op.args[3] if len(op.args) > 3 else None
    if op.name == "instance_norm" or not isinstance(running, Value):
        labels.lock(axes[2:], f"is normalised over in {op}")
    if isinstance(axes[1], np.ndarray):
        labels.follows.append(Follow(op.module, "num_features", axes[1], 1))
    for out in op.outs:
        if out is not None and out.shape == op.args[0].shape:
            labels.set(out, axes)
        elif out is not None and len(out.shape) == 1 and out.shape[0] == op.args[0].shape[1]:
            labels.set(out, [axes[1]])


def _group_norm(labels: Labels, op: Op) -> None:
    """Whole norm groups leave: the statistics of the others do not change, so removal stays exact."""
    x = op.args[0]
    if op.name == "group_norm":
        groups, affine = int(op.args[1]), (op.arg(2, "weight"), op.arg(3, "bias"))
    else:
        groups, affine = int(op.args[6]), (op.args[1], op.args[2])
    axes = list(labels.of(x))
    for value in affine:
        if isinstance(value, Value):
            axes[1] = labels.unite(axes[1], labels.of(value)[0], op)
    array = axes[1]
    labels.lock(axes[2:], f"is normalised over in {op}")
    if isinstance(array, np.ndarray):
        per = len(array) // groups
        if groups == 1 and labels.recompute and isinstance(affine[0], Value):
            labels.follows.append(Follow(op.module, "num_channels", array, 1))
            labels.set(op.outs[0], axes)
            return
        if groups == 1:
            labels.lock(array, f"all channels are normalised together in {op}")
        labels.tie(array.reshape(groups, per), op)
        labels.follow_count(op, array, per, "num_groups")
        labels.follows.append(Follow(op.module, "num_channels", array, 1))
    labels.set(op.outs[0], axes)


def _layer_norm(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    over = len(op.args[1])
    weight = op.arg(2, "weight")
    if labels.recompute and over == 1 and isinstance(weight, Value):
        for value in (v for v in op.values() if v is not op.args[0]):
            axes[-1] = labels.unite(axes[-1], labels.of(value)[0], op)
        if isinstance(axes[-1], np.ndarray):
            labels.follows.append(Follow(op.module, "normalized_shape.0", axes[-1], 1))
        labels.set(op.outs[0], axes)
        return
    reason = f"all channels are normalised together in {op}"
    labels.lock(axes[len(axes) - over :], reason)
    labels.lock_values([v for v in op.values() if v is not op.args[0]], reason)
    for out in op.outs:
        if out is not None and out.shape == op.args[0].shape:
            labels.set(out, axes)


def _along(labels: Labels, op: Op) -> None:
    """Softmax and the like: the whole of one axis decides each value; the other axes pass."""
    axes = list(labels.of(op.args[0]))
    dim = int(op.args[1]) % max(1, len(axes))
    labels.lock(axes[dim], f"all channels are taken together in {op}")
    labels.doubt([axes[dim]])
    for out in op.outs:
        labels.set(out, axes)


def _reduce(labels: Labels, op: Op) -> None:
    """Mean, sum, maximum, norm over some axes: those must keep their length, the others pass."""
    if len(op.args) > 1 and isinstance(op.args[1], Value):  # torch.max(a, b)
        return pointwise(labels, op)
    axes = list(labels.of(op.args[0]))
    names = op.argument_names
    place = names.index("dim") if "dim" in names else -1
    dims = op.arg(place, "dim") if place >= 0 else None
    keep = bool(op.arg(names.index("keepdim"), "keepdim", False)) if "keepdim" in names else False
    chosen = range(len(axes)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    gone = {int(d) % max(1, len(axes)) for d in chosen}
    noun = entry_of(op).noun
    why = f" (their {noun} is part of the function)" if noun else ""
    labels.lock([axes[d] for d in sorted(gone)], f"all channels are taken together{why} in {op}")
    left: list[Axis] = [FREE if i in gone else a for i, a in enumerate(axes) if keep or i not in gone]
    for out in op.outs:
        if out is not None and len(out.shape) == len(left):
            labels.set(out, left)


def _as_real(labels: Labels, op: Op) -> None:
    labels.set(op.outs[0], [*labels.of(op.args[0]), None])


def _as_complex(labels: Labels, op: Op) -> None:
    axes = labels.of(op.args[0])
    labels.lock(axes[-1], f"is a real and an imaginary part in {op}")
    labels.set(op.outs[0], axes[:-1])


def _fft(labels: Labels, op: Op) -> None:
    """Fourier transforms: the transformed axes are space, the others pass."""
    axes = list(labels.of(op.args[0]))
    dims = op.arg(2, "dim")
    if dims is None:
        dims = [-2, -1] if op.name.endswith("2") else [-1] if not op.name.endswith("n") else range(len(axes))
    for d in [dims] if isinstance(dims, int) else dims:
        labels.lock(axes[d], f"is treated as space in {op}")
        axes[d] = None
    labels.set(op.outs[0], axes)


def _sampled(labels: Labels, op: Op) -> None:
    """grid_sample: reads places of the map for all channels alike."""
    axes = labels.of(op.args[0])
    labels.lock([*axes[2:], *labels.of(op.args[1])], f"is treated as space in {op}")
    labels.set(op.outs[0], [*axes[:2], *[None] * (len(axes) - 2)])


def _unpool(labels: Labels, op: Op) -> None:
    both = [labels.of(value)[:-2] for value in op.args[:2]]
    lead = [labels.unite(a, b, op) for a, b in zip(*both, strict=True)]
    labels.lock(labels.of(op.args[0])[-2:], f"is treated as space in {op}")
    labels.set(op.outs[0], [*lead, None, None])


def _embedding(labels: Labels, op: Op) -> None:
    """A table of vectors: its columns are channels, its rows stay."""
    rows, columns = labels.of(op.args[0])
    labels.lock(rows, f"is looked up by number in {op}")
    labels.lock_values([v for v in op.values() if v is not op.args[0]], f"is looked up by number in {op}")
    if isinstance(columns, np.ndarray):
        labels.producers.append(columns)
    if op.outs[0] is not None:
        labels.set(op.outs[0], [*[None] * (len(op.outs[0].shape) - 1), columns])


def _prelu(labels: Labels, op: Op) -> None:
    axes, weight = list(labels.of(op.args[0])), op.args[1]
    if weight.shape and weight.shape[0] != 1 and len(axes) > 1:
        flat = labels.of(weight)[1 if len(weight.shape) > 1 and weight.shape[0] == 1 else 0]
        axes[1] = labels.unite(axes[1], flat, op)
    labels.set(op.outs[0], axes)


def _weight_norm(labels: Labels, op: Op) -> None:
    v, g = op.args[0], op.args[1]
    axes = list(labels.of(v))
    for i, (axis, size) in enumerate(zip(labels.of(g), g.shape, strict=True)):
        if size != 1:
            axes[i] = labels.unite(axes[i], axis, op)
    labels.set(op.outs[0], axes)
    if op.outs[0] is not None and v in labels.static:
        labels.static.add(op.outs[0])


RULES: dict[str, Rule] = {
    "pointwise": pointwise,
    "same": same,
    "like": _like,
    "constant": _fill,
    "space": _spatial,
    "sampled": _sampled,
    "unpool": _unpool,
    "batch norm": _batch_norm,
    "instance norm": _batch_norm,
    "group norm": _group_norm,
    "layer norm": _layer_norm,
    "weight norm": _weight_norm,
    "triangle": _triangle,
    "along": _along,
    "reduce": _reduce,
    "fourier": _fft,
    "as_real": _as_real,
    "as_complex": _as_complex,
    "embedding": _embedding,
    "prelu": _prelu,
}
