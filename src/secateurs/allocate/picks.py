"""Which channels a group loses next in a search: the next of its order, or those chosen anew from what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from secateurs import measure, represent
from secateurs.compensate.combination import Combination, mixing, scaled_filters
from secateurs.contracts import Group, IntArray, Order, Ranking
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.graph.slices import removed_positions
from secateurs.layers.group_weights import GroupView
from secateurs.layers.tensors import named_tensors
from secateurs.running.copies import copy_model

Choose = Literal["once", "step", "turn"]
CHOICES: tuple[Choose, ...] = ("once", "step", "turn")


@dataclass(frozen=True, eq=False)
class Pick:
    """What a group would keep: its units by rising index, those that leave in order, and how the kept stand in.

    `mix` (n, n) writes all units of the group in those that stay, zero in the columns of the others; None where that
    follows from what stays (`Combination`).
    """

    stays: IntArray
    leave: tuple[int, ...]
    mix: Tensor | None = None


class Picks(Protocol):
    """The state of all groups, and what a step of one of them takes."""

    def pick(self, name: str, count: int) -> Pick:
        """What the group keeps if it is brought down to `count` units."""
        ...

    def take(self, name: str, count: int) -> Pick:
        """Bring it down."""
        ...

    def keep(self) -> dict[str, IntArray]:
        """Units of every group that has lost some."""
        ...

    def mixes(self) -> dict[str, Tensor]:
        """How the kept units of these groups stand in, where that does not follow from what stays."""
        ...

    def order(self, name: str) -> tuple[int, ...]:
        """Units of the group in the order in which they left, then those that are left, the next to leave first."""
        ...


@dataclass(eq=False)
class InOrder:
    """Groups lose the first units of their orders."""

    ranking: Ranking
    counts: dict[str, int] = field(default_factory=dict)

    def pick(self, name: str, count: int) -> Pick:
        """Cost O(n log n)."""
        units = self.order(name)
        gone = self.counts.get(name, len(units))
        return Pick(
            np.sort(np.array(units[len(units) - count :], dtype=np.int64)),
            units[len(units) - gone : len(units) - count],
        )

    def take(self, name: str, count: int) -> Pick:
        """The same, for good."""
        found = self.pick(name, count)
        self.counts[name] = count
        return found

    def keep(self) -> dict[str, IntArray]:
        """Units of every group that has lost some."""
        return {name: self.pick(name, count).stays for name, count in self.counts.items()}

    def mixes(self) -> dict[str, Tensor]:
        """None: what stays is enough."""
        return {}

    def order(self, name: str) -> tuple[int, ...]:
        """That of the ranking."""
        return self.ranking.orders[name].units


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A selection that has been made and not been carried out: the units left in order, and the step's mixing."""

    count: int
    units: tuple[int, ...]
    step: Tensor | None


class Anew:
    """Groups are ranked anew on the units and weights that are left, as the published searches do.

    Removed channels are gone from the filters of the next ranking, and what reads the others has been repaired.
    A selection is made once and waits until its group's turn: with `when` "step" until any layer it rests on has
    changed, with "turn" until the group itself has lost channels, however the weights have changed since (HBGS,
    HBGTS). Repairs add up: each step writes what leaves in what stays, by the filters of that moment.

    Args:
        ranking: By a method of weights.
        when: "step" or "turn".
        combination: How the kept units stand in for others; its `find` gives the coefficients of a step.

    Raises:
        InputError: The method cannot rank what is left.
    """

    def __init__(self, ranking: Ranking, when: Choose, combination: Combination) -> None:
        if ranking.again is None:
            raise InputError(
                f"choose: '{when}' ranks what is left anew, and '{ranking.method}' needs more than weights; use 'once'."
            )
        graph: Graph = ranking.graph
        self.ranking, self.when, self.combination, self.graph = ranking, when, combination, graph
        self.groups: dict[str, Group] = {g.name: g for g in graph.free}
        self.left = {name: np.arange(g.size) for name, g in self.groups.items()}
        self.gone: dict[str, list[int]] = {name: [] for name in self.groups}
        self.mix: dict[str, Tensor] = {}
        self.waiting: dict[str, _Waiting] = {}
        self.network: nn.Module = copy_model(graph.model)
        self._tensors = dict(named_tensors(self.network))
        self._plain = {name: tensor.detach().clone() for name, tensor in self._tensors.items()}
        self._held = {name: {slot.tensor for slot in g.slots} for name, g in self.groups.items()}

    def pick(self, name: str, count: int) -> Pick:
        """Cost: a ranking of the group, where its selection has not been made yet."""
        found = self.waiting.get(name)
        if found is None or found.count != count:
            found = self.waiting[name] = self._chosen(name, count)
        leave = len(found.units) - count
        mix = None
        if found.step is not None:
            mix = self.mix.get(name, torch.eye(self.groups[name].size, dtype=torch.float64)) @ found.step
        return Pick(np.sort(np.array(found.units[leave:])), found.units[:leave], mix)

    def take(self, name: str, count: int) -> Pick:
        """The same, for good."""
        found = self.pick(name, count)
        self.left[name] = found.stays
        self.gone[name].extend(found.leave)
        if found.mix is not None:
            self.mix[name] = found.mix
        stale = (
            [name] if self.when == "turn" else [n for n in self.groups if self._held[n] & self._held[name]]
        )
        for other in stale:
            self.waiting.pop(other, None)
        self._rewrite(name)
        return found

    def keep(self) -> dict[str, IntArray]:
        """Units of every group that has lost some."""
        return {name: units for name, units in self.left.items() if len(units) < self.groups[name].size}

    def mixes(self) -> dict[str, Tensor]:
        """How the kept units of these groups stand in by now."""
        return dict(self.mix)

    def order(self, name: str) -> tuple[int, ...]:
        """Units as they left, then the others as they would."""
        return (*self.gone[name], *self._ranked(name))

    def _narrowed(self, name: str) -> Group:
        """The group with the units that are left only."""
        group, left = self.groups[name], self.left[name]
        slots = tuple(replace(slot, positions=slot.positions[left]) for slot in group.slots)
        return replace(group, size=len(left), slots=slots)

    def _ranked(self, name: str) -> tuple[int, ...]:
        assert self.ranking.again is not None
        order: Order = self.ranking.again(self.network, self._narrowed(name))
        return tuple(int(self.left[name][unit]) for unit in order.units)

    def _chosen(self, name: str, count: int) -> _Waiting:
        units = self._ranked(name)
        step = None
        if self.combination.combine:
            step = self._step(name, np.sort(np.array(units[len(units) - count :])))
        return _Waiting(count, units, step)

    def _step(self, name: str, stays: IntArray) -> Tensor:
        """All units of the group in those that stay, by the filters that are left now."""
        left, size = self.left[name], self.groups[name].size
        view = GroupView(self.network, self._narrowed(name), norms_after=self.graph.norms)
        gram = torch.stack([measure.gram(represent.flat(one)) for one in scaled_filters(view)]).sum(0)
        small = mixing(gram, np.searchsorted(left, stays), self.combination.find)
        index = torch.as_tensor(left)
        step = torch.zeros(size, size, dtype=torch.float64)
        step[index[:, None], index] = small.to(step)
        return step

    @torch.no_grad()
    def _rewrite(self, name: str) -> None:
        """Bring the weights that change with a group to what they are now; the rows of what left are silent."""
        keep = self.keep()
        names = self.combination.touched(name) | {
            slot.tensor for slot in self.groups[name].slots_as("producer")
        }
        found = self.combination.given(self.mix).weights(keep, names)
        silent: Mapping[str, Mapping[int, IntArray]] = removed_positions(self.graph.free, keep, "producer")
        for tensor in names:
            new = found.get(tensor, self._plain[tensor]).clone()
            for axis, positions in silent.get(tensor, {}).items():
                new.index_fill_(axis, torch.as_tensor(positions, device=new.device), 0)
            self._tensors[tensor].copy_(new)
