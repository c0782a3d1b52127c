"""Labels on the axes of tensors: which channel each position belongs to.

An axis is `None` (its positions are fixed: batch, space, inputs), `FREE` (the same everywhere, so
that any length will do: broadcast axes, constant fills) or an int64 array with one *atom* a position,
-1 where a position belongs to no channel (padding). An atom is one position on one axis of one
stored tensor. Rules unite atoms that have to leave together and lock atoms that cannot leave; nothing is
resolved before the end, when the connected components are the units of removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateurs.contracts import IntArray
from secateurs.graph.program import Op, Value


class Free:
    """The kind of an axis that may have any length."""

    def __repr__(self) -> str:
        return "FREE"


FREE = Free()
Axis = IntArray | Free | None


@dataclass(frozen=True)
class Term:
    """Multiply-adds of one operation: `each` times the number of positions kept on every array."""

    op: Op
    each: float
    arrays: tuple[IntArray, ...]


@dataclass(frozen=True)
class Follow:
    """An integer attribute of a module that is `per` times the number of positions kept of an array."""

    module: str
    attribute: str
    array: IntArray
    divisor: int


class Labels:
    """The state of one propagation: written by the rules, read when groups are made."""

    def __init__(
        self,
        choices: Mapping[int, int],
        numbers: Mapping[str, Mapping[str, int]] | None = None,
        refused: dict[int, set[str]] | None = None,
        recompute: bool = False,
    ) -> None:
        self.recompute = recompute  # whether normalisations over channels may see fewer of them
        self.choices = choices
        self.refused = {} if refused is None else refused  # readings known to end in a lock, by step
        self.taken: dict[int, int] = {}
        self.doubts: list[tuple[IntArray, IntArray]] = []
        self.numbers = numbers or {}
        self.options: dict[int, tuple[str, ...]] = {}
        self.touched: dict[int, list[IntArray]] = {}
        self.slots: list[tuple[str, int, int, int]] = []  # tensor, axis, first atom, length
        self.names: dict[tuple[str, int], int] = {}
        self.count = 0
        self.unions: list[tuple[IntArray, IntArray, str]] = []
        self.locks: list[tuple[IntArray, str]] = []
        self.producers: list[IntArray] = []
        self.consumers: list[IntArray] = []
        self.terms: list[Term] = []
        self.follows: list[Follow] = []
        self.axes: dict[Value, list[Axis]] = {}
        self.read: set[str] = set()  # parameters and buffers that some operation reads
        self.derived: set[Value] = set()  # made from state alone
        self.twins: list[tuple[IntArray, IntArray]] = []  # axes of weights that are summed before use
        self.static: set[Value] = set()  # made from state alone, and zero wherever the state is zero
        self.slices: dict[Value, tuple[Value, int, slice]] = {}  # views: of what, along which axis
        self.readers: dict[Value, list[Op]] = {}  # the operations of the present program that read a value
        self.step = -1

    # -- tensors ---------------------------------------------------------------------------------
    def add_state(self, value: Value, name: str) -> None:
        """Give every axis of a parameter or buffer its own atoms, the same in every capture."""
        axes: list[Axis] = []
        for axis, size in enumerate(value.shape):
            if size == 1:
                axes.append(FREE)
                continue
            key = (name, axis)
            if key not in self.names:
                self.names[key] = self.count
                self.slots.append((name, axis, self.count, size))
                self.count += size
            axes.append(np.arange(self.names[key], self.names[key] + size))
        self.axes[value] = axes
        self.static.add(value)
        self.derived.add(value)

    def is_tap(self, axis: Axis) -> bool:
        """Whether an axis counts the taps of a kernel."""
        if not isinstance(axis, np.ndarray) or not len(axis) or axis[0] < 0:
            return False
        return any(first <= axis[0] < first + size and place >= 2 for _, place, first, size in self.slots)

    def of(self, value: Value) -> list[Axis]:
        """The labels of a tensor; inputs and constants have fixed axes."""
        return self.axes.get(value) or [None if size != 1 else FREE for size in value.shape]

    def set(self, value: Value | None, axes: Sequence[Axis]) -> None:
        """Label a result; a disagreement with its shape is a bug of a rule and locks instead."""
        if value is None:
            return
        sound = len(axes) == len(value.shape) and all(
            not isinstance(a, np.ndarray) or len(a) == size for a, size in zip(axes, value.shape, strict=True)
        )
        if not sound:
            raise LabelError(f"labels {[_length(a) for a in axes]} for shape {value.shape}")
        self.axes[value] = [
            FREE if size == 1 and a is None else a for a, size in zip(axes, value.shape, strict=True)
        ]

    # -- facts -----------------------------------------------------------------------------------
    def unite(self, a: Axis, b: Axis, op: Op) -> Axis:
        """The positions of two axes are the same channels; returns the labels of both."""
        if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
            array = a if isinstance(a, np.ndarray) else b if isinstance(b, np.ndarray) else None
            if array is None:
                return FREE if isinstance(a, Free) and isinstance(b, Free) else None
            if a is None or b is None:
                self.lock(array, f"meets a tensor of fixed size in {op}")
            return array
        if len(a) != len(b):
            raise LabelError(f"{len(a)} and {len(b)} channels meet")
        self.unions.append((a, b, str(op)))
        return np.where(a >= 0, a, -1)

    def tie(self, rows: IntArray, op: Op) -> None:
        """All atoms of one row (of a 2-D array) leave together."""
        if rows.shape[1] > 1:
            first = np.repeat(rows[:, :1], rows.shape[1] - 1, axis=1).ravel()
            self.unions.append((first, rows[:, 1:].ravel(), str(op)))

    def lock(self, axes: Axis | Iterable[Axis], reason: str) -> None:
        """None of these atoms may leave."""
        for axis in (
            [axes] if isinstance(axes, np.ndarray) or axes is None or isinstance(axes, Free) else axes
        ):
            if isinstance(axis, np.ndarray):
                self.locks.append((axis, reason))

    def lock_values(self, values: Iterable[Value], reason: str) -> None:
        """Lock whatever is labelled on these tensors."""
        for value in values:
            self.lock(self.of(value), reason)

    # -- choices ---------------------------------------------------------------------------------
    def choose(self, readings: Sequence[str], arrays: Iterable[Axis]) -> int:
        """Which of the readings of the present operation to take; trial decides, see trace.py."""
        self.options[self.step] = tuple(readings)
        self.touched.setdefault(self.step, []).extend(a for a in arrays if isinstance(a, np.ndarray))
        asked = min(self.choices.get(self.step, 0), len(readings) - 1)
        refused = self.refused.get(self.step, set())
        left = [i for i in range(asked, len(readings) - 1) if family(readings[i]) not in refused]
        self.taken[self.step] = left[0] if left else asked
        return self.taken[self.step]

    def doubt(self, axes: Iterable[Axis], because: Axis = None) -> None:
        """These channels were locked for what they are: an axis that was split differently would not be.

        `because` names channels that met them; where no layer makes those, nothing is doubted.
        """
        for axis in axes:
            if isinstance(axis, np.ndarray):
                self.doubts.append((axis, because if isinstance(because, np.ndarray) else axis))

    def reconsider(self) -> bool:
        """Refuse the readings by which an axis was split into doubtful channels; whether any is new."""
        made, doubtful = np.zeros(self.count, dtype=bool), np.zeros(self.count, dtype=bool)
        for array in self.producers:
            made[array[array >= 0]] = True
        for array, because in self.doubts:
            if made[because[because >= 0]].any():
                doubtful[array[array >= 0]] = True
        found = False
        for step, names in self.options.items():
            name, known = family(names[self.taken[step]]), self.refused.setdefault(step, set())
            met = name.startswith("axis") and any(doubtful[a[a >= 0]].any() for a in self.touched[step])
            found |= met and name not in known
            known.update([name] if met else [])
        return found

    def following(self, op: Op, lengths: Sequence[tuple[IntArray, int]]) -> list[Follow]:
        """Integer attributes of the module that runs `op` which equal one of the lengths (positions / divisor).

        And those of a module inside it that holds the tensor of these channels (a table of biases, say).
        """
        found = []
        owners = dict.fromkeys(self._owner(array) for array, _ in lengths)
        for module in [op.module, *(m for m in owners if m.startswith(f"{op.module}."))]:
            for attribute, number in self.numbers.get(module, {}).items():
                for array, divisor in lengths if attribute not in OWN_SIZES else ():
                    if number > 1 and number * divisor == len(array):
                        found.append(Follow(module, attribute, array, divisor))
                        break
        return found

    def _owner(self, array: IntArray) -> str:
        """The module that holds the tensor of an axis's first channel."""
        first = array[0] if len(array) else -1
        held = (name for name, _, start, length in self.slots if start <= first < start + length)
        return next(held, "").rpartition(".")[0]

    def follow_count(self, op: Op, array: IntArray, divisor: int, attribute: str) -> None:
        """The module's number of groups follows: the attribute that standard layers have, or one that fits."""
        own = self.numbers.get(op.module, {})
        if attribute in own or not own:
            self.follows.append(Follow(op.module, attribute, array, divisor))
            return
        counted = self.following(op, [(array, divisor)])
        if counted and self.choose(["as it is", "counted"], [array]) == 1:
            self.follows.extend(counted)


def family(reading: str) -> str:
    """The name of a reading without what it takes along."""
    return reading.partition(" counted")[0]


OWN_SIZES = frozenset(
    "in_features out_features in_channels out_channels num_features num_channels num_parameters".split()  # noqa: SIM905
)
"""Attributes of standard layers that follow their tensors by themselves."""


class LabelError(Exception):
    """A rule cannot follow an operation; the operation is locked instead."""


def _length(axis: Any) -> Any:
    return len(axis) if isinstance(axis, np.ndarray) else axis


def labelled(axes: Iterable[Axis]) -> list[int]:
    """Indices of the axes that carry atoms."""
    return [i for i, axis in enumerate(axes) if isinstance(axis, np.ndarray)]
