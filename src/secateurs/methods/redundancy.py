"""What every method does with units that the consumers can do without: they leave first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from secateurs.contracts import Entries, GroupWeights, Order, Place, Redundant


@dataclass(frozen=True)
class _Entries:
    gamma: Tensor
    beta: Tensor


@dataclass(frozen=True)
class _Left:
    """A group without some of its units."""

    whole: GroupWeights
    units: tuple[int, ...]

    @property
    def producers(self) -> Sequence[Tensor]:
        return [self._of(weights) for weights in self.whole.producers]

    @property
    def consumers(self) -> Sequence[Tensor]:
        return [self._of(weights) for weights in self.whole.consumers]

    @property
    def norms(self) -> Sequence[Entries]:
        return [_Entries(self._of(norm.gamma), self._of(norm.beta)) for norm in self.whole.norms]

    @property
    def statistic(self) -> Any:
        seen, n = self.whole.statistic, len(self.whole.producers[0])
        if isinstance(seen, Order) and len(seen.units) == n:
            return _within(seen, self.units)
        if isinstance(seen, Tensor) and seen.dim() and set(seen.shape) == {n}:
            return self._of(seen) if seen.dim() == 1 else self._of(self._of(seen).mT).mT
        return seen  # of none, or wrong, which the method says

    @property
    def seed(self) -> int:
        return self.whole.seed

    @property
    def redundant(self) -> Redundant:
        return Redundant()

    @property
    def place(self) -> Place:
        return self.whole.place

    def _of(self, values: Tensor) -> Tensor:
        return values[torch.as_tensor(self.units, device=values.device)]


def _within(order: Order, units: tuple[int, ...]) -> Order:
    """An order of some of the units, renumbered."""
    place = {unit: i for i, unit in enumerate(units)}
    stay = [k for k, unit in enumerate(order.units) if unit in place]
    damage = None if order.damage is None else tuple(order.damage[k] for k in stay)
    own = None if order.own is None else sum(k < order.own for k in stay)
    units = tuple(place[order.units[k]] for k in stay)
    return replace(order, units=units, damage=damage, own=own, partners=None)


def redundant_first(ranks: Callable[[GroupWeights], Order], group: GroupWeights) -> Order:
    """Rank a group so that its `Redundant` units leave first, and the others as if those had never been there.

    At least one unit is left to be ranked.

    Args:
        ranks: A method's way to rank.
        group: Any.

    Returns:
        All units. What is redundant has damage 0, where damage is told at all, and is part of the method's own
        ratio; copies have their twins as partners; a note says how many units that are. What `ranks` returns that is
        no order of the rest comes back as it is.

    Cost:
        That of ranking the rest.
    """
    found = group.redundant
    n = len(group.producers[0]) if found.units else 0
    first = found.units[: n - 1]
    if not first:
        return ranks(group)
    rest = tuple(sorted(set(range(n)) - set(first)))
    order = ranks(_Left(group, rest))
    if not isinstance(order, Order) or sorted(order.units) != list(range(len(rest))):
        return order
    twins = dict(zip(found.copies, found.twins, strict=True))
    partners = order.partners if order.partners is not None else [-1] * len(rest)
    return Order(
        (*first, *(rest[i] for i in order.units)),
        None if order.damage is None else (*(0.0 for _ in first), *order.damage),
        None if order.own is None else len(first) + order.own,
        {**order.notes, "leave first": _words(found)},
        (*(twins.get(unit, -1) for unit in first), *(rest[i] if i >= 0 else -1 for i in partners)),
    )


def _words(found: Redundant) -> str:
    counts = {"unread": found.unread, "constant": found.constant, "copies": found.copies}
    return ", ".join(f"{len(units)} {name}" for name, units in counts.items() if units)
