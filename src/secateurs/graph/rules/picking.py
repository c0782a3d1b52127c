"""Reading and writing at places that an index names: the indexed axis stays, the others pass."""

from __future__ import annotations

from collections.abc import Callable

from secateurs.graph.labels import FREE, Axis, Labels
from secateurs.graph.program import Op, Value

Rule = Callable[[Labels, Op], None]


def _gather(labels: Labels, op: Op) -> None:
    """gather: one index for every element of the result."""
    value, dim, index = op.args[0], int(op.args[1]), op.args[2]
    axes = _met(labels, op, value, index, dim % max(1, len(value.shape)))
    labels.set(op.outs[0], axes)


def _scatter(labels: Labels, op: Op) -> None:
    """Scatter and its sums: `index` and `source` have one shape, and lie within the first tensor."""
    value, dim = op.args[0], int(op.args[1]) % max(1, len(op.args[0].shape))
    axes = labels.of(value)
    for part in (v for v in op.values() if v is not value):
        axes = _met(labels, op, value, part, dim, axes)
    axes[dim] = None if value.shape[dim] != 1 else FREE
    labels.set(op.outs[0], axes)


def _index_write(labels: Labels, op: Op) -> None:
    """index_add, index_copy, index_fill: whole slices of one axis, numbered by a vector."""
    value, dim = op.args[0], int(op.args[1]) % max(1, len(op.args[0].shape))
    axes = list(labels.of(value))
    labels.lock(axes[dim], f"is written by number in {op}")
    sources = [v for v in op.values() if v is not value and len(v.shape) == len(value.shape) > 1]
    for source in sources:
        axes = _met(labels, op, value, source, dim, axes)
    axes[dim] = None if value.shape[dim] != 1 else FREE
    labels.set(op.outs[0], axes)


def _met(
    labels: Labels, op: Op, value: Value, other: Value, dim: int, found: list[Axis] | None = None
) -> list[Axis]:
    """Labels of both tensors together, beside the indexed axis; where one is shorter, its channels stay."""
    axes = list(labels.of(value) if found is None else found)
    result: list[Axis] = []
    for i, (own, theirs) in enumerate(zip(axes, labels.of(other), strict=True)):
        if i == dim:
            labels.lock([own, theirs], f"is picked by an index in {op}")
            result.append(None)
        elif value.shape[i] != other.shape[i]:
            labels.lock([own, theirs], f"is picked in part in {op}")
            result.append(None)
        else:
            result.append(labels.unite(own, theirs, op))
    return result


RULES: dict[str, Rule] = {
    "gather": _gather,
    "scatter": _scatter,
    "index_write": _index_write,
}
