"""Writing into a part of a tensor: what is written brings its channels along."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateurs.graph.labels import FREE, Axis, Free, Labels
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.parts import read_slice

Rule = Callable[[Labels, Op], None]


def _copy(labels: Labels, op: Op) -> None:
    """copy_: into a whole tensor, or by way of a slice into a part of one."""
    target, source = op.args[0], op.args[1]
    axes = [*[FREE] * (len(target.shape) - len(source.shape)), *labels.of(source)]
    written = _written(labels, op, labels.of(target), axes)
    labels.set(target, written)
    labels.set(op.outs[0], written)
    _pass_up(labels, op, target)


def _pass_up(labels: Labels, op: Op, part: Value) -> None:
    """What a slice holds is what the tensor that was sliced holds there."""
    while part in labels.slices:
        whole, dim, cut = labels.slices[part]
        labels.set(
            whole, _with_part(labels, op, labels.of(whole), labels.of(part), dim, cut, whole.shape[dim])
        )
        part = whole


def _slice_scatter(labels: Labels, op: Op) -> None:
    whole, part = op.args[0], op.args[1]
    dim = int(op.arg(2, "dim", 0) or 0) % len(whole.shape)
    cut = slice(op.arg(3, "start"), op.arg(4, "end"), int(op.arg(5, "step", 1) or 1))
    axes = _with_part(labels, op, labels.of(whole), labels.of(part), dim, cut, whole.shape[dim])
    held = axes[dim]
    if isinstance(held, np.ndarray):
        read_slice(labels, op, held, cut)
    labels.set(op.outs[0], axes)


def _select_scatter(labels: Labels, op: Op) -> None:
    whole, part, dim, index = op.args[:4]
    axes, rest = list(labels.of(whole)), list(labels.of(part))
    dim = int(dim) % len(axes)
    labels.lock(axes[dim], f"is written by number ({int(index)}) in {op}")
    rest.insert(dim, FREE)
    own = axes[dim]
    axes = _written(labels, op, axes, rest)
    axes[dim] = own if isinstance(own, np.ndarray) else None
    labels.set(op.outs[0], axes)


def _with_part(
    labels: Labels, op: Op, whole: list[Axis], part: list[Axis], dim: int, cut: slice, length: int
) -> list[Axis]:
    """The labels of a tensor after `part` has been written to a slice of one of its axes."""
    rest: list[Axis] = [FREE if i == dim else axis for i, axis in enumerate(part)]
    axes, new = _written(labels, op, whole, rest), part[dim]
    axes[dim] = whole[dim]
    if not isinstance(new, np.ndarray):
        return axes
    old = whole[dim]
    held = old.copy() if isinstance(old, np.ndarray) else np.full(length, -1)
    if old is None:
        labels.lock(new, f"is written into a tensor of fixed size in {op}")
    held[cut] = _joined(labels, op, held[cut], new)
    axes[dim] = held
    return axes


def _written(labels: Labels, op: Op, old: list[Axis], new: list[Axis]) -> list[Axis]:
    """Axis by axis what a tensor holds after another was written over it."""
    result: list[Axis] = []
    for before, after in zip(old, new, strict=True):
        if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
            result.append(_joined(labels, op, before, after))
        elif isinstance(after, Free):
            result.append(before)
        else:
            result.append(after if isinstance(before, Free) else labels.unite(before, after, op))
    return result


def _joined(labels: Labels, op: Op, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Channels written over channels leave together; over a constant they are alone."""
    both = (before >= 0) & (after >= 0)
    if both.any():
        labels.unions.append((before[both], after[both], str(op)))
    return np.where(after >= 0, after, before)


RULES: dict[str, Rule] = {
    "copy": _copy,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
}
