"""view, reshape, flatten, unflatten: axes merge and split, and the labels with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from secateurs.graph.labels import FREE, Axis, Follow, Free, LabelError, Labels, labelled
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.entry import entry_of

Rule = Callable[[Labels, Op], None]


def _reshape(labels: Labels, op: Op) -> None:
    out = op.outs[0]
    if out is not None:
        reshape(labels, op, op.args[0], out)


def reshape(labels: Labels, op: Op, value: Value, out: Value) -> None:
    """Match both shapes block by block; inside a block, merge all axes and split them again."""
    axes = labels.of(value)
    result: list[Axis] = [FREE] * len(out.shape)
    if math.prod(value.shape) == 0:
        labels.lock(axes, f"is empty in {op}")
        return
    for ins, outs in _blocks(value.shape, out.shape):
        sizes = [out.shape[i] for i in outs]
        kept = [axes[i] for i in ins]
        shape = [value.shape[i] for i in ins]
        if not labelled(kept):
            fixed = any(a is None for a in kept)
            for i in outs:
                result[i] = None if fixed else FREE
        elif len(ins) == len(outs) == 1:
            result[outs[0]] = _counted(labels, op, kept[0])
        else:
            if value in labels.static:
                kept = _without_taps(labels, op, kept)
            merged = _merged(labels, op, kept, shape)
            if len(sizes) == 1:
                merged = _counted(labels, op, merged)
            averaged = [_averaged(labels, out, i) for i in outs]
            for i, axis in zip(outs, _split(labels, op, merged, sizes, averaged), strict=True):
                result[i] = axis
    labels.set(out, result)
    if value in labels.static:
        labels.static.add(out)


def _counted(labels: Labels, op: Op, axis: Axis) -> Axis:
    """The same axis; by choice, attributes of the module that give its length follow it."""
    counted = labels.following(op, [(axis, 1)]) if isinstance(axis, np.ndarray) else []
    if counted and labels.choose(["as it is", "counted"], [axis]) == 1:
        labels.follows.extend(counted)
    return axis


def _blocks(a: tuple[int, ...], b: tuple[int, ...]) -> Iterator[tuple[list[int], list[int]]]:
    """Smallest runs of axes with equal products; axes of size 1 are left out."""
    left = [i for i, s in enumerate(a) if s != 1]
    right = [i for i, s in enumerate(b) if s != 1]
    while left or right:
        ins, outs = [left.pop(0)], [right.pop(0)]
        p, q = a[ins[0]], b[outs[0]]
        while p != q:
            if p < q:
                ins.append(left.pop(0))
                p *= a[ins[-1]]
            else:
                outs.append(right.pop(0))
                q *= b[outs[-1]]
        yield ins, outs


def _without_taps(labels: Labels, op: Op, axes: list[Axis]) -> list[Axis]:
    """A weight made a matrix (spectral norm): the taps of its kernel stay, so its channels can be followed."""
    taps = [labels.is_tap(a) for a in axes]
    labels.lock([a for a, tap in zip(axes, taps, strict=True) if tap], f"is space in {op}")
    return [None if tap else a for a, tap in zip(axes, taps, strict=True)]


def _merged(labels: Labels, op: Op, axes: list[Axis], shape: list[int]) -> Axis:
    where = labelled(axes)
    if not where:  # the taps of a kernel, and nothing else
        return None
    if len(where) > 1:
        labels.lock(axes, f"several channel axes are merged in {op}")
        return None
    array = axes[where[0]]
    inner = math.prod(shape[where[0] + 1 :])
    outer = math.prod(shape[: where[0]])
    return np.tile(np.repeat(array, inner), outer) if isinstance(array, np.ndarray) else None


def _averaged(labels: Labels, value: Value, axis: int, steps: int = 3) -> bool:
    """Whether the next thing that happens, element by element apart, is a reduction over this axis."""
    for op in labels.readers.get(value, ()):
        out = op.outs[0] if op.outs else None
        if entry_of(op).averages:
            place = op.argument_names.index("dim") if "dim" in op.argument_names else -1
            dims = op.arg(place, "dim") if place >= 0 else None
            listed = [dims] if isinstance(dims, int) else dims or []
            if axis in {int(d) % len(value.shape) for d in listed}:
                return True
        elif (
            steps and out is not None and out.shape == value.shape and _averaged(labels, out, axis, steps - 1)
        ):
            return True
    return False


def _split(labels: Labels, op: Op, array: Axis, sizes: list[int], averaged: list[bool]) -> list[Axis]:
    """Split one labelled axis: where one new axis already tells the channels apart, else by choice.

    The choices: which of the new axes shrinks, by itself or along with attributes of the module. An axis that is
    averaged over next (groups of a normalisation) could not.
    """
    if not isinstance(array, np.ndarray):
        return [None if not isinstance(array, Free) else FREE] * len(sizes)
    if len(sizes) == 1:
        return [array]
    grid = array.reshape(sizes)
    for axis in range(len(sizes)):
        lines = np.moveaxis(grid, axis, 0).reshape(sizes[axis], -1)
        if (lines == lines[:, :1]).all():
            return [lines[:, 0] if i == axis else None for i in range(len(sizes))]
    able = [i for i in range(len(sizes)) if not averaged[i]] or list(range(len(sizes)))
    order = sorted(able, key=lambda i: (-sizes[i], -i))
    readings: list[tuple[int, list[Follow]]] = [(axis, []) for axis in order]
    for axis in order:
        first = np.moveaxis(grid, axis, 0).reshape(sizes[axis], -1)[:, 0]
        counted = labels.following(op, [(first, 1), (array, 1)])
        alone = (
            [[f] for f in counted] if len(counted) > 1 else []
        )  # equal by chance, heads and their width, say
        readings.extend((axis, some) for some in [counted, *alone] if some)
    if labels.refused.get(labels.step):  # heads: an attribute that has their number is what the code reads
        readings.sort(key=lambda reading: (order.index(reading[0]), not reading[1]))
    names = [
        " ".join([f"axis {axis}", *["counted"] * bool(counted), *(f.attribute for f in counted)])
        for axis, counted in readings
    ]
    choice = labels.choose([*names, "locked"], [array])
    if choice == len(readings):
        labels.lock(array, f"is split into parts of fixed size in {op}")
        return [None] * len(sizes)
    axis, counted = readings[choice]
    lines = np.moveaxis(grid, axis, 0).reshape(sizes[axis], -1)
    labels.tie(lines, op)
    labels.follows.extend(counted)
    return [lines[:, 0] if i == axis else None for i in range(len(sizes))]


def _as_strided(labels: Labels, op: Op) -> None:
    """A vector given axes of length one is a reshape; anything else is not followed."""
    value, out = op.args[0], op.outs[0]
    if (
        out is None
        or max((*value.shape, 1)) != value.numel()
        or value.numel() != out.numel()
        or op.arg(3, "offset")
    ):
        raise LabelError("as_strided")
    reshape(labels, op, value, out)


RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "strided": _as_strided,
}
