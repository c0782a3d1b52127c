"""Data movement: what the operation does to the tensor is done to the labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateurs.graph.labels import FREE, Axis, Labels, labelled
from secateurs.graph.program import Op, Value

Rule = Callable[[Labels, Op], None]


def moved(labels: Labels, op: Op, axes: list[Axis], out: Value | None = None) -> None:
    """Set the result; a moved weight is still a weight."""
    result = out or op.outs[0]
    labels.set(result, axes)
    if result is not None and all(v in labels.static for v in op.values()):
        labels.static.add(result)


def _permute(labels: Labels, op: Op) -> None:
    axes = labels.of(op.args[0])
    moved(labels, op, [axes[int(d)] for d in op.args[1]])


def _transpose(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    a, b = (int(op.args[1]), int(op.args[2])) if len(op.args) > 2 else (-1, -2)
    if len(axes) > 1:
        axes[a], axes[b] = axes[b], axes[a]
    moved(labels, op, axes)


def _movedim(labels: Labels, op: Op) -> None:
    axes = labels.of(op.args[0])
    n = len(axes)
    source = [d % n for d in ([op.args[1]] if isinstance(op.args[1], int) else op.args[1])]
    target = [d % n for d in ([op.args[2]] if isinstance(op.args[2], int) else op.args[2])]
    rest = iter([i for i in range(n) if i not in source])
    places = {t: s for s, t in zip(source, target, strict=True)}
    moved(labels, op, [axes[places[i]] if i in places else axes[next(rest)] for i in range(n)])


def _squeeze(labels: Labels, op: Op) -> None:
    axes, shape = labels.of(op.args[0]), op.args[0].shape
    dims = op.args[1] if len(op.args) > 1 else list(range(len(shape)))
    chosen = {int(d) % max(1, len(shape)) for d in ([dims] if isinstance(dims, int) else dims)}
    moved(labels, op, [a for i, a in enumerate(axes) if i not in chosen or shape[i] != 1])


def _unsqueeze(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    dim = int(op.args[1])
    axes.insert(dim if dim >= 0 else len(axes) + 1 + dim, FREE)
    moved(labels, op, axes)


def _cat(labels: Labels, op: Op) -> None:
    values: list[Value] = [v for v in op.args[0] if v.shape != (0,)]
    out = op.outs[0]
    if out is None:
        return
    dim = int(op.arg(1, "dim", 0) or 0) % len(out.shape)
    result: list[Axis] = list(labels.of(values[0]))
    for value in values[1:]:
        for i, axis in enumerate(labels.of(value)):
            result[i] = labels.unite(result[i], axis, op) if i != dim else None
    parts = [(labels.of(v)[dim], v.shape[dim]) for v in values]
    result[dim] = _joined(parts)
    moved(labels, op, result)


def _joined(parts: list[tuple[Axis, int]]) -> Axis:
    if not any(isinstance(axis, np.ndarray) for axis, _ in parts):
        return None
    arrays = [axis if isinstance(axis, np.ndarray) else np.full(size, -1) for axis, size in parts]
    return np.concatenate(arrays)


def _stack(labels: Labels, op: Op) -> None:
    values: list[Value] = op.args[0]
    result = list(labels.of(values[0]))
    for value in values[1:]:
        result = [labels.unite(a, b, op) for a, b in zip(result, labels.of(value), strict=True)]
    dim = int(op.arg(1, "dim", 0) or 0)
    result.insert(dim if dim >= 0 else len(result) + 1 + dim, None)
    moved(labels, op, result)


def _unbind(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    dim = int(op.arg(1, "dim", 0) or 0) % len(axes)
    taken = axes.pop(dim)
    labels.lock(taken, f"is taken apart channel by channel in {op}")
    labels.doubt([taken])
    for out in op.outs:
        moved(labels, op, axes, out)


def _expand(labels: Labels, op: Op) -> None:
    value, out = op.args[0], op.outs[0]
    if out is None:
        return
    axes: list[Axis] = [FREE] * (len(out.shape) - len(value.shape))
    for axis, size, new in zip(labels.of(value), value.shape, out.shape[len(axes) :], strict=True):
        axes.append(axis if size == new else FREE)
    moved(labels, op, axes)


def _repeat(labels: Labels, op: Op) -> None:
    axes, times = labels.of(op.args[0]), [int(t) for t in op.args[1]]
    lead = len(times) - len(axes)
    result: list[Axis] = [FREE] * lead
    for axis, k in zip(axes, times[lead:], strict=True):
        result.append(np.tile(axis, k) if isinstance(axis, np.ndarray) else axis)
    moved(labels, op, result)


def _repeat_interleave(labels: Labels, op: Op) -> None:
    axes, times, dim = list(labels.of(op.args[0])), op.args[1], op.arg(2, "dim")
    if not isinstance(times, int) or dim is None:
        labels.lock_values(op.values(), f"is repeated by a table in {op}")
        return
    array = axes[int(dim)]
    axes[int(dim)] = np.repeat(array, times) if isinstance(array, np.ndarray) else array
    moved(labels, op, axes)


def _flip(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    for d in op.args[1]:
        array = axes[int(d)]
        axes[int(d)] = array[::-1].copy() if isinstance(array, np.ndarray) else array
    moved(labels, op, axes)


def _roll(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    shifts, dims = op.args[1], op.arg(2, "dims", [])
    if not dims:
        labels.lock(axes, f"is rolled as one in {op}")
    for shift, d in zip(shifts, dims, strict=bool(dims)):
        array = axes[int(d)]
        if isinstance(array, np.ndarray):  # the channels that wrap around keep their number
            s = int(shift) % len(array)
            labels.lock(
                array[len(array) - s :] if shift > 0 else array[: len(array) - s], f"wraps around in {op}"
            )
            axes[int(d)] = np.roll(array, s)
    moved(labels, op, axes)


def _index(labels: Labels, op: Op) -> None:
    """Indexing by tensors: the indexed axis is fixed; one index on another axis lets the labels pass."""
    value, out = op.args[0], op.outs[0]
    if op.name == "index_select":
        axes = list(labels.of(value))
        dim = int(op.args[1]) % len(axes)
        labels.lock(axes[dim], f"is picked by an index in {op}")
        axes[dim] = None
        moved(labels, op, axes)
        return
    axes = list(labels.of(value))
    used = [i for i, index in enumerate(op.args[1]) if index is not None]
    labels.lock([axes[i] for i in used], f"is picked by an index in {op}")
    if len(used) == 1 and out is not None:
        width = len(op.args[1][used[0]].shape)
        new: list[Axis] = [*axes[: used[0]], *[None] * width, *axes[used[0] + 1 :]]
        if len(new) == len(out.shape):
            labels.set(out, new)
            return
    labels.lock(axes, f"is picked by several indices in {op}")


def _pad(labels: Labels, op: Op) -> None:
    axes, pads = list(labels.of(op.args[0])), [int(p) for p in op.args[1]]
    mode = op.arg(2, "mode", "constant") if op.name == "pad" else "constant"
    for k in range(len(pads) // 2):
        before, after = pads[2 * k], pads[2 * k + 1]
        array = axes[-1 - k]
        if before == after == 0:
            continue
        if isinstance(array, np.ndarray) and (mode != "constant" or before < 0 or after < 0):
            labels.lock(array, f"is padded or cropped by number in {op}")
            axes[-1 - k] = None
        elif isinstance(array, np.ndarray):
            axes[-1 - k] = np.concatenate([np.full(before, -1), array, np.full(after, -1)])
        else:
            axes[-1 - k] = None
    moved(labels, op, axes)


def _pixel_shuffle(labels: Labels, op: Op) -> None:
    axes, r = list(labels.of(op.args[0])), int(op.args[1])
    array = axes[-3]
    if isinstance(array, np.ndarray):
        rows = array.reshape(-1, r * r)
        labels.tie(rows, op)
        axes[-3] = rows[:, 0]
    labels.set(op.outs[0], axes if labelled(axes[-2:]) == [] else [*axes[:-2], None, None])


def _pixel_unshuffle(labels: Labels, op: Op) -> None:
    axes, r = list(labels.of(op.args[0])), int(op.args[1])
    array = axes[-3]
    axes[-3] = np.repeat(array, r * r) if isinstance(array, np.ndarray) else None
    labels.set(op.outs[0], axes)


def _channel_shuffle(labels: Labels, op: Op) -> None:
    axes, groups = list(labels.of(op.args[0])), int(op.args[1])
    array = axes[1]
    if isinstance(array, np.ndarray):
        parts = array.reshape(groups, -1)
        labels.tie(parts.T, op)
        axes[1] = parts.T.ravel()
    labels.set(op.outs[0], axes)


def _im2col(labels: Labels, op: Op) -> None:
    axes = labels.of(op.args[0])
    out, array = op.outs[0], axes[-3]
    if out is None:
        return
    taps = out.shape[-2] // op.args[0].shape[-3]
    made = np.repeat(array, taps) if isinstance(array, np.ndarray) else None
    labels.set(out, [*axes[:-3], made, None])


def _glu(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    dim = int(op.arg(1, "dim", -1))
    array = axes[dim]
    if isinstance(array, np.ndarray):
        halves = array.reshape(2, -1)
        labels.tie(halves.T, op)
        axes[dim] = halves[0]
    labels.set(op.outs[0], axes)


RULES: dict[str, Rule] = {
    "permute": _permute,
    "transpose": _transpose,
    "movedim": _movedim,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "cat": _cat,
    "stack": _stack,
    "unbind": _unbind,
    "expand": _expand,
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "flip": _flip,
    "roll": _roll,
    "index": _index,
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "im2col": _im2col,
    "halves": _glu,
}
