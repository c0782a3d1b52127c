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
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
ArrayT = TypeVar("ArrayT", FloatArray, Tensor)  # numpy in, numpy out; a tensor in, a tensor on its device out

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 8  # units of a group in a printed ranking

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
    operations that couple the layers of the group ("add at net.py:41").
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
    `notes` say what is to be known about it: how far an approximation is off, or what the group was
    ranked by instead. `partners[k]` is the unit that the method paired `units[k]` with when that left, -1 where there
    is none; None for methods that make no pairs.
    """

    units: tuple[int, ...]
    damage: tuple[float, ...] | None = None
    own: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict, compare=False)
    partners: tuple[int, ...] | None = None


@dataclass(frozen=True, repr=False)
class Ranking:
    """The orders of all prunable groups, by group name, with the method that made them.

    `rounding` is how the method's procedure makes counts of shares (`methods.Procedure`). `again` ranks the units of
    a group, or some of them, in a network with other weights; None where the method needs more than weights.
    `faithful` methods follow published code: how many units stay is then rounded as their papers do only.
    Printed, it is a table: one line a group.
    """

    graph: Any
    orders: Mapping[str, Order]
    method: str
    rounding: str = "kept up"
    again: Callable[[Any, Group], Order] | None = field(default=None, compare=False)
    faithful: bool = False

    @property
    def notes(self) -> dict[str, Mapping[str, Any]]:
        """The notes of all orders that have some, by group name."""
        return {name: order.notes for name, order in self.orders.items() if order.notes}

    def __repr__(self) -> str:
        units = sum(len(order.units) for order in self.orders.values())
        return f"<Ranking by {self.method}: {len(self.orders)} groups, {units} units>"

    def __str__(self) -> str:
        width = max([len("group"), *(len(name) for name in self.orders)])
        rows = [f"{self.method}", f"{'group':{width}} {'units':>6} {'own':>5}  first to leave"]
        for name, order in self.orders.items():
            own = "-" if order.own is None else str(order.own)
            first = " ".join(str(unit) for unit in order.units[:_SHOWN])
            more = " ..." if len(order.units) > _SHOWN else ""
            rows.append(f"{name:{width}} {len(order.units):6} {own:>5}  {first}{more}")
            rows.extend(f"  {key}: {value}" for key, value in order.notes.items())
        return "\n".join(rows)


@dataclass(frozen=True)
class Redundant:
    """Units of a group that leave first, whatever the method: what reads the group can do without them.

    Attributes:
        unread: All weights that read them are zero. Their loss changes nothing.
        constant: Their filters are zero, so that they give the same for every input: bias and batch norm make a
            constant of nothing. A consumer whose bias takes it in (the repairs `bias`, `merge` and those by
            least squares) misses nothing but what padding does to a constant at the borders.
        copies: They equal another unit that stays, in all that makes them. A consumer that adds their weights to
            those of the twin (`merge` and the repairs by least squares) misses nothing.
        twins: The unit that each of the copies equals.

    Without such a repair a constant and a copy are still no information that is lost, but their sum in the
    consumer is. No unit is named twice.
    """

    unread: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()
    copies: tuple[int, ...] = ()
    twins: tuple[int, ...] = ()

    @property
    def units(self) -> tuple[int, ...]:
        """All of them, the unread first."""
        return (*self.unread, *self.constant, *self.copies)


@dataclass(frozen=True)
class Place:
    """Which of the groups of a ranking one is: `number` of `count`, with `size` units before any has left."""

    number: int = 0
    count: int = 1
    size: int = 0


class Entries(Protocol):
    """Batch-norm factors and biases of the units of a group, each of shape (n,)."""

    @property
    def gamma(self) -> Tensor:
        """Factors."""
        ...

    @property
    def beta(self) -> Tensor:
        """Biases."""
        ...


class GroupWeights(Protocol):
    """What a method sees of one group: matrices, never the model."""

    @property
    def producers(self) -> Sequence[Tensor]:
        """Filters of every layer that produces the channels: (n, c, taps) each."""
        ...

    @property
    def consumers(self) -> Sequence[Tensor]:
        """Weights that read the channels: (n, outputs, taps) each."""
        ...

    @property
    def norms(self) -> Sequence[Entries]:
        """Batch norms on the way, in the order of the forward pass."""
        ...

    @property
    def statistic(self) -> Any:
        """What a look at the data has left of this group; None where it could not be looked at."""
        ...

    @property
    def seed(self) -> int:
        """Where the generator of this group starts."""
        ...

    @property
    def redundant(self) -> Redundant:
        """Units that leave first in every method."""
        ...

    @property
    def place(self) -> Place:
        """Which of the groups of the ranking this is."""
        ...


class LayerInput(Protocol):
    """One batch of a group's feature maps, at one of the layers that read them."""

    @property
    def gradient(self) -> Tensor | None:
        """Gradient of a loss, in the shape of what the layer is given."""
        ...

    @property
    def plain(self) -> bool:
        """Whether the layer is linear in its input, so that contributions can be told apart."""
        ...

    def maps(self, of: Tensor | None = None) -> Tensor:
        """Feature maps, or their gradients if handed in: (b, n, h, w)."""
        ...

    def contributions(self) -> Tensor:
        """Gram matrix of what the units contribute to the layer's outputs: (n, n)."""
        ...


class Represent(Protocol):
    """A group as rows: one matrix for every layer, one row for every unit."""

    def __call__(self, group: GroupWeights, /) -> Sequence[Tensor]:
        """Matrices (n, d), or (n, c, taps) for measures that need to know the taps."""
        ...


class Measure(Protocol):
    """Rows (n, d) to worth (n,), higher stays, or likeness (n, n), higher is more alike."""

    def __call__(self, rows: Tensor, /) -> Any:
        """A score of every row, or of every pair of rows."""
        ...


class Select(Protocol):
    """From worth (n,) or likeness (n, n) to the order in which units leave."""

    def __call__(self, score: Any, /) -> Order:
        """All n units, the first to leave first; ties go by index."""
        ...


@dataclass(frozen=True, eq=False)
class Factor:
    """A likeness S (n, n) that is held as rows B (n, r) with S = B B^T, and never formed.

    `columns` is how many columns of the matrix each layer's part was made from (none where it is the matrix itself),
    `error` the largest spectral norm of what a part leaves out. The sum of two likenesses has their rows side by side.

    Example:
        >>> import torch
        >>> both = Factor(torch.ones(2, 1), (1,), 0.5) + Factor(torch.zeros(2, 3), (3,), 0.25)
        >>> tuple(both.rows.shape), both.notes
        ((2, 4), {'columns': [1, 3], 'nystrom_error': 0.5})
    """

    rows: Tensor
    columns: tuple[int, ...]
    error: float

    def __add__(self, other: Factor) -> Factor:
        rows = torch.cat([self.rows, other.rows], dim=1)
        return Factor(rows, self.columns + other.columns, max(self.error, other.error))

    @property
    def notes(self) -> dict[str, Any]:
        """What is to be known about an order that rests on it; nothing where it is no approximation."""
        return {"columns": list(self.columns), "nystrom_error": self.error} if self.columns else {}


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
    orthogonal matrix applied to all). Written above a function as `@Traits(...)`, they become its `traits`.
    """

    scale: bool = False
    sign: bool = False
    shift: bool = False
    rotation: bool = False

    def __call__(self, function: F) -> F:
        """Say so of a measure."""
        vars(function)["traits"] = self
        return function


Loader = Any  # an iterable of batches: tensors, (inputs, labels) pairs or dicts, or a Dataset

Example: TypeAlias = Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
"""One input of a network: a tensor, its positional inputs, or its named ones; where asked for, a list of several."""
