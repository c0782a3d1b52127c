"""The nouns of the library: read this file first.

A network is traced into a `Graph` of `Group`s. The channels of a group are its *units*: a unit is
everything that has to leave together (a filter, its batch-norm entries, the matching filters on the
other side of a shortcut, the columns of the layers that read it). A method gives every group an
`Order` of removal; all orders make a `Ranking`; an allocation and a target turn it into a `Plan`,
which `surgery` carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
ArrayT = TypeVar("ArrayT", FloatArray, Tensor)  # numpy in, numpy out; a tensor in, a tensor on its device out

Role = Literal["producer", "carrier", "consumer"]


@dataclass(frozen=True)
class Slot:
    """One axis of one stored tensor along which the units of a group lie.

    `positions` has shape (n, m): row i holds the m places of unit i on this axis (m > 1 where a
    flatten, a shuffle or a split ties several places together). A *producer* makes the channels
    (filters of a convolution), a *carrier* goes along (batch norm, depthwise filters), a *consumer*
    reads them (input columns of the next layer).
    """

    tensor: str
    axis: int
    positions: IntArray
    role: Role


@dataclass(frozen=True)
class Group:
    """Units that are coupled in the same way, and so can be compared with each other.

    `locked` is None where units may leave, else the reason why none may. `through` names the
    operations that couple the layers of the group ("add at net.py:41"). `multiple` units have to
    leave at a time (1 nearly always).
    """

    name: str
    size: int
    slots: tuple[Slot, ...]
    locked: str | None = None
    through: tuple[str, ...] = ()

    def slots_as(self, role: Role) -> tuple[Slot, ...]:
        """The slots that play one role, in the order of the forward pass."""
        return tuple(slot for slot in self.slots if slot.role == role)


@dataclass(frozen=True)
class Order:
    """In which order the units of one group leave.

    `units` lists all n units, the first to leave first. `damage[k]` is what removing `units[k]`
    after `units[:k]` costs (non-negative, unit of the method, None where the method has no such
    number). `own` is how many units the method's own rule removes, None where it needs a target.
    """

    units: tuple[int, ...]
    damage: tuple[float, ...] | None = None
    own: int | None = None


@dataclass(frozen=True)
class Ranking:
    """The orders of all prunable groups, by group name, with the method that made them."""

    graph: Any
    orders: Mapping[str, Order]
    method: str
    notes: Mapping[str, Any] = field(default_factory=dict)


class Worth(Protocol):
    """A measure of single filters: (n, d) filters to (n,) worth; higher stays."""

    def __call__(self, filters: ArrayT, /) -> ArrayT:
        """Worth of each row."""
        ...


class Likeness(Protocol):
    """A measure of pairs: (n, d) filters to (n, n) likeness; higher is more alike."""

    def __call__(self, filters: ArrayT, /) -> ArrayT:
        """Likeness of each pair of rows."""
        ...


class Represent(Protocol):
    """A group's filters as one matrix: (n, c, t) weights (t taps) to (n, d)."""

    def __call__(self, weights: ArrayT, /) -> ArrayT:
        """One row a filter."""
        ...


class Select(Protocol):
    """From worth (n,) or likeness (n, n) to the order in which units leave."""

    def __call__(self, score: FloatArray | Tensor, /) -> Order:
        """All n units, the first to leave first; ties go by index."""
        ...


class Progress(Protocol):
    """Told how far a long stage has come; the command line draws it, the library ignores it."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are finished."""
        ...


@dataclass(frozen=True)
class Traits:
    """What may be done to the filters without changing the order a measure gives.

    Each is tested to hold where True and to fail where False: `scale` (all filters times one
    positive number), `sign` (any single filter times -1), `shift` (one vector added to all), `rotation` (one
    orthogonal matrix applied to all).
    """

    scale: bool = False
    sign: bool = False
    shift: bool = False
    rotation: bool = False


Loader = Any  # an iterable of batches: tensors, (inputs, labels) pairs or dicts, or a Dataset
ModelFactory = Callable[[], Any]
Names = Sequence[str]
