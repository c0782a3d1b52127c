"""Peak activation memory: how many elements are alive at once, by the liveness of the captured tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secateurs.contracts import FloatArray, IntArray
from secateurs.graph.groups import Units
from secateurs.graph.labels import Labels
from secateurs.graph.program import Program, Value
from secateurs.network.operations import kind_of

_SAME = ("identity", "dropout")  # in evaluation these hand on what they got


@dataclass(frozen=True, eq=False)
class ActivationMemory:
    r"""How many elements of activations are alive at once when group g keeps keep[g] units, for one sample.

    The operations of the capture run one after the other. A tensor is alive from the operation that makes it (an
    input from the start) to the last one that reads it (an output to the end), both included, so that what an
    operation reads and what it makes are there together:

    $$ M = \max_t \sum_{v : a_v \le t \le b_v} |v| $$

    Counted are inputs, outputs and everything between, each by its number of elements, whatever its type. A view, a
    reshape or flatten, dropout, and what is written in place are the tensor they come from, which then lives as long as
    all of them. Not counted: parameters, buffers, constants, what is made from these alone, and the scratch space of an
    operation. Batch norm and an activation out of place are operations with a result of their own here; a runtime that
    fuses them into the convolution before needs less. Elements are bytes at int8; at float32 they are four each.

    Attributes:
        first: a_v, the place of the operation that makes each tensor, -1 for inputs.
        last: b_v, that of the last one that needs it.
        each: Elements on axes that stay.
        axes: Axes that shrink, by their rows in `fixed` and `per_unit`; the last row stands for none.
        fixed: Positions of every axis that stay.
        per_unit: Positions of every axis that a unit of each group takes along, shape (axes, groups).
        sizes: Units of every group.
    """

    first: IntArray
    last: IntArray
    each: FloatArray
    axes: IntArray
    fixed: FloatArray
    per_unit: FloatArray
    sizes: IntArray

    def peak(self, keep: IntArray | None = None) -> int:
        """The most elements that are alive at once (all units kept by default). Cost O(tensors x axes)."""
        return round(float(self.alive(keep).max(initial=0.0)))

    def alive(self, keep: IntArray | None = None) -> FloatArray:
        """Elements alive at the start and at every operation, shape (operations + 1,)."""
        counts = self.sizes if keep is None else np.asarray(keep)
        lengths = np.append(self.fixed + self.per_unit @ counts.astype(np.float64), 1.0)
        held = self.each * lengths[self.axes].prod(axis=1)
        change = np.zeros(int(self.last.max(initial=-1)) + 3)
        np.add.at(change, self.first + 1, held)
        np.add.at(change, self.last + 2, -held)
        found: FloatArray = np.cumsum(change)[:-1]
        return found


def activation_memory(program: Program, labels: Labels, units: Units) -> ActivationMemory:
    """The activation memory of one capture as a function of the units that groups keep.

    Args:
        program: What runs. Where its inputs are a batch of several samples, axes of that length in front are one.
        labels: The labels on its tensors.
        units: The groups they make.
    """
    spans = lifetimes(program)
    batch = next((v.shape[0] for v, (start, _) in spans.items() if start < 0 and v.shape), 1)
    sizes = np.array([group.size for group in units.groups], dtype=np.int64)
    rows: dict[bytes, int] = {}
    fixed, per_unit, each, axes = [], [], [], []
    for value in spans:
        shape = value.shape[1:] if value.shape and value.shape[0] == batch else value.shape
        skipped, stays, shrinks = len(value.shape) - len(shape), 1.0, []
        for size, axis in zip(shape, labels.of(value)[skipped:], strict=True):
            counted = _per_unit(axis, units, sizes)
            if counted is None:
                stays *= size
                continue
            key = np.append(counted, size).tobytes()
            if key not in rows:
                rows[key] = len(rows)
                per_unit.append(counted)
                fixed.append(size - float(counted @ sizes))
            shrinks.append(rows[key])
        each.append(stays)
        axes.append(shrinks)
    width = max([len(a) for a in axes] + [1])
    return ActivationMemory(
        np.array([start for start, _ in spans.values()], dtype=np.int64),
        np.array([end for _, end in spans.values()], dtype=np.int64),
        np.array(each, dtype=np.float64),
        np.array([a + [len(rows)] * (width - len(a)) for a in axes], dtype=np.int64).reshape(-1, width),
        np.array(fixed, dtype=np.float64),
        np.stack(per_unit) if per_unit else np.zeros((0, len(sizes))),
        sizes,
    )


def _per_unit(axis: object, units: Units, sizes: IntArray) -> FloatArray | None:
    """How many positions of an axis a unit of every group takes along; None where none leaves."""
    if not isinstance(axis, np.ndarray):
        return None
    groups = units.group[units.of[axis[axis >= 0]]]
    counts = np.bincount(groups[groups >= 0], minlength=len(sizes))
    found: FloatArray = counts / np.maximum(sizes, 1)
    return found if counts.any() else None


def lifetimes(program: Program) -> dict[Value, tuple[int, int]]:
    """For every tensor with memory of its own, the operation that makes it (-1: an input) and the last that needs it.

    Example:
        >>> from secateurs.graph.program import Op
        >>> x, y, z = Value((2,)), Value((3,)), Value((1,))
        >>> ops = (Op("relu", (x,), {}, (y,)), Op("sum", (y,), {}, (z,)))
        >>> [span for span in lifetimes(Program(ops, {}, (z,))).values()]
        [(-1, 0), (0, 1), (1, 1)]
    """
    state = {*program.state, *program.constants}
    home: dict[Value, Value] = {}
    spans: dict[Value, tuple[int, int]] = {}
    for place, op in enumerate(program.ops):
        read = list(op.values())
        for value in read:
            _needed(spans, home, state, value, place)
        if read and all(home.get(v, v) in state for v in read):
            state.update(v for v in op.outs if v is not None and v not in home)
            continue
        base = op.args[op.within] if 0 <= op.within < len(op.args) else None
        base = base if isinstance(base, Value) else None
        base = read[0] if base is None and read and kind_of(op.name) in _SAME else base
        for out in op.outs:
            if out is None or out in home or out in spans:
                continue
            if base is not None:
                home[out] = home.get(base, base)
            else:
                spans[out] = (place, place)
    end = len(program.ops) - 1
    for value in program.outputs:
        _needed(spans, home, state, value, end)
    return spans


def _needed(
    spans: dict[Value, tuple[int, int]],
    home: Mapping[Value, Value],
    state: set[Value],
    value: Value,
    place: int,
) -> None:
    """A tensor, and what it is a view of, is read by an operation; what nothing has made is an input."""
    own = home.get(value, value)
    if own not in state:
        spans[own] = (spans.get(own, (-1, -1))[0], place)
