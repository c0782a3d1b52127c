r"""Repair from weights alone: what read a removed channel reads those that its filter is a combination of.

With $f_j \approx \sum_{l \in S} \lambda_{jl} f_l$ for the filters that left, the weights that read them are added
to those of the kept ones, $V_{:l} \mathrel{+}= \sum_j \lambda_{jl} V_{:j}$. Between the linear layers of a frame only
the residual of the combination is lost. With a batch norm in between its factors are part of the filters; what
an activation in between adds is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secateurs import measure, represent, select
from secateurs.compensate.walk import Repaired
from secateurs.contracts import Group, IntArray, Slot
from secateurs.graph import Graph
from secateurs.layers.group_weights import GroupView
from secateurs.layers.reparametrised import is_reparametrised
from secateurs.layers.tensors import named_tensors, take
from secateurs.statistics.statistics import Statistics
from secateurs.statistics.units import key

Keep = Mapping[str, IntArray]
Coefficients = Callable[[Tensor, Sequence[int]], Tensor]


def mixing(gram: Tensor, kept: IntArray, find: Coefficients = select.coefficients_of_gram) -> Tensor:
    r"""How kept units stand in for all: $P_{ll} = 1$ on the kept, $P_{jl} = \lambda_{jl}$ for the others.

    Args:
        gram: $F F^T$, shape (n, n).
        kept: The units that stay.
        find: Coefficients of the others in them, shape (n - k, k).

    Returns:
        Shape (n, n), zero in the columns of removed units, so that $V P$ is the repaired V.

    Cost:
        O(n k^2 + k^3).

    Example:
        >>> import numpy as np
        >>> mixing(torch.tensor([[1.0, 2.0], [2.0, 4.0]]), np.array([0]))
        tensor([[1., 0.],
                [2., 0.]], dtype=torch.float64)
    """
    n = len(gram)
    result = torch.zeros(n, n, dtype=torch.float64, device=gram.device)
    index = torch.as_tensor(kept, device=gram.device)
    result[index, index] = 1.0
    if len(kept) < n:
        stays = torch.zeros(n, dtype=torch.bool, device=gram.device)
        stays[index] = True
        gone = (~stays).nonzero()[:, 0]
        result[gone[:, None], index] = find(gram.double(), kept.tolist()).to(result)
    return result


@dataclass(frozen=True, eq=False)
class _Part:
    """What the repair of one group changes: `mixed` weights read the units, `silent` ones only lose them.

    Between the layers of a frame's entrance the 1x1 convolution that makes the channels is mixed, along its rows,
    and `after` names the group behind the k x k convolution: its filters are compared without those that left.
    """

    filters: tuple[Tensor, ...]
    mixed: tuple[Slot, ...]
    silent: tuple[Slot, ...]
    after: str | None

    def gram(self, keep: Keep) -> Tensor:
        """F F^T of the filters."""
        filters = self.filters
        if self.after is not None and self.after in keep:
            left = torch.as_tensor(keep[self.after], device=filters[0].device)
            filters = (filters[0][:, left],)
        return torch.stack([measure.gram(represent.flat(one)) for one in filters]).sum(0)


class Combination:
    """The repair of one network for any keep-sets: the same sets, the same weights, whatever came before.

    Args:
        graph: Of the original.
        combine: Whether kept units stand in for removed ones; if not, these are silenced only.
        stats: From `observe`; with it units stand in for others by their maps, $E[x x^T]$ of what the consumers read
            in place of $F F^T$, and what the activation does is seen.
        find: From a Gram matrix and the kept units to the coefficients of the others; least squares by default.
    """

    def __init__(
        self,
        graph: Graph,
        combine: bool = True,
        stats: Statistics | None = None,
        find: Coefficients = select.coefficients_of_gram,
    ) -> None:
        self.graph, self.combine, self.find = graph, combine, find
        self.mixes: Mapping[str, Tensor] = {}
        self._tensors = {name: t.detach() for name, t in named_tensors(graph.model)}
        behind = {
            slot.tensor: group.name
            for group in graph.free
            for slot in group.slots_as("producer")
            if slot.tensor.endswith(".weight")
        }
        self._parts = {group.name: _part(graph, group, behind) for group in graph.free}
        self._grams: dict[str, Tensor] = {}
        for group in graph.free if stats is not None else ():
            found = _seen(group, stats)
            if found is not None:
                self._grams[group.name] = found
                self._parts[group.name] = _Part((), _plain(graph, group), (), None)

    def given(self, mixes: Mapping[str, Tensor]) -> Combination:
        """The same, but for groups in which kept units stand in for the others as a search has found."""
        other = copy(self)
        other.mixes = mixes
        return other

    @torch.no_grad()
    def weights(self, keep: Keep, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Weights in their original shape, with removed units silenced and stood in for.

        Args:
            keep: Keep-sets by group.
            names: Only these tensors; all that change by default.

        Returns:
            By name. Weights that a reparametrisation computes (weight norm) are left as they are.

        Cost:
            O(n^3) for each group of n units that lost some, and O(n) for each weight that reads it.
        """
        found: dict[str, Tensor] = {}
        less = {name: units for name, units in keep.items() if len(units) < self.graph[name].size}
        for name in less:
            part, mix = self._parts[name], None
            for slot in (*part.mixed, *part.silent):
                if names is not None and slot.tensor not in names:
                    continue
                if mix is None:
                    mix = self._mixing(name, less)
                silent = torch.diag(mix.diagonal()) if slot in part.silent else mix
                before = found.get(slot.tensor, self._tensors[slot.tensor])
                found[slot.tensor] = applied(before, slot, silent)
        return found

    def touched(self, name: str) -> frozenset[str]:
        """Names of the weights that change with the units a group keeps."""
        follow = [p for p in self._parts.values() if p.after == name]
        slots = [s for p in (self._parts[name], *follow) for s in (*p.mixed, *p.silent)]
        return frozenset(slot.tensor for slot in slots)

    def _mixing(self, name: str, keep: Keep) -> Tensor:
        part, size = self._parts[name], self.graph[name].size
        if name in self.mixes:
            return self.mixes[name]
        if not self.combine or not part.mixed:
            return mixing(torch.eye(size), keep[name])
        if part.after is not None and part.after in keep:
            return mixing(part.gram(keep), keep[name], self.find)
        if name not in self._grams:
            self._grams[name] = part.gram({})
        return mixing(self._grams[name], keep[name], self.find)


def combine_(
    small: nn.Module, graph: Graph, keep: Keep, combination: Combination | None = None
) -> tuple[str, ...]:
    """Let kept units stand in for removed ones in a network after removal, in place.

    Args:
        small: What `remove` made.
        graph: Of the original.
        keep: Keep-sets by group.
        combination: One made for `graph` before, that by the filters by default.

    Returns:
        Names of the weights that have changed.

    Raises:
        InputError: Filters that are not finite.

    Cost:
        O(n^2 d + n^3) for each group of n filters with d taps.

    Example:
        >>> import numpy as np
        >>> from secateurs.graph import trace
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False))
        >>> graph = trace(net, torch.zeros(1, 1, 2, 2))
        >>> combine_(net, graph, {"0": np.array([0, 1])})  # nothing has left
        ()

    References:
        [joo2021lrf] Linearly replaceable filters for deep network channel pruning, AAAI 2021.
    """
    slices, own = graph.slices(keep), dict(named_tensors(small))
    found = (combination or Combination(graph)).weights(keep)
    with torch.no_grad():
        for name, weight in found.items():
            own[name].copy_(take(weight, slices.get(name, {})))
    return tuple(found)


def combined_(small: nn.Module, graph: Graph, keep: Keep, combination: Combination | None = None) -> Repaired:
    """The repair `weights`: `combine_`, and a remark on every layer whose weights are computed.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False))
        >>> from secateurs.graph import trace
        >>> combined_(net, trace(net, torch.zeros(1, 1, 2, 2)), {}).method
        'weights'
    """
    changed = combine_(small, graph, keep, combination)
    less = [graph[name] for name, units in keep.items() if len(units) < graph[name].size]
    slots = [slot.tensor for group in less for slot in group.slots_as("consumer")]
    left = dict.fromkeys(tensor for tensor in slots if tensor not in changed)
    remarks = tuple(f"{name}: its layer cannot be repaired this way; left as it was" for name in left)
    return Repaired("weights", remarks=remarks)


def applied(weight: Tensor, slot: Slot, mix: Tensor) -> Tensor:
    """V P along one axis of a weight, for every one of the places a unit has on it.

    Example:
        >>> import numpy as np
        >>> slot = Slot("w", 1, np.array([[0], [1]]), "consumer")
        >>> applied(torch.tensor([[1.0, 2.0]]), slot, torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
        tensor([[7., 0.]])
    """
    places = torch.as_tensor(slot.positions, device=weight.device)
    moved = weight.movedim(slot.axis, 0).clone()
    parts = moved[places].double()
    moved[places] = torch.einsum("j...,jl->l...", parts, mix.to(parts)).to(moved)
    return moved.movedim(0, slot.axis).contiguous()


def _part(graph: Graph, group: Group, behind: Mapping[str, str]) -> _Part:
    view = GroupView(graph.model, group, norms_after=graph.norms)
    producers, consumers = group.slots_as("producer"), group.slots_as("consumer")
    filters = tuple(scaled_filters(view))
    if view.entering:
        return _Part(filters, producers, consumers, behind.get(consumers[0].tensor))
    return _Part(filters, _plain(graph, group), (), None)


def _plain(graph: Graph, group: Group) -> tuple[Slot, ...]:
    """The weights that read the units, but for those that a reparametrisation computes."""
    consumers = group.slots_as("consumer")
    return tuple(s for s in consumers if not is_reparametrised(graph.model, {s.tensor: {}}))


def _seen(group: Group, stats: Statistics | None) -> Tensor | None:
    """E[x x^T] of the units over all their consumers, each with the same say."""
    if stats is None:
        return None
    found = [stats.channels.get(key(group, slot)) for slot in group.slots_as("consumer")]
    grams = [m.gram()[0] for m in found if m is not None and m.first.shape[1] == group.size]
    return torch.stack([g / g.diagonal().mean().clamp_min(1e-300) for g in grams]).sum(0) if grams else None


def scaled_filters(view: GroupView) -> list[Tensor]:
    """Filters, times the factors of the batch norms that read them.

    Example:
        >>> from secateurs.graph import trace
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1))
        >>> view = GroupView(net, trace(net, torch.zeros(1, 1, 2, 2))["0"])
        >>> [tuple(one.shape) for one in scaled_filters(view)]
        [(2, 1, 1)]
    """
    found = []
    for i, bank in enumerate(view.producers):
        norm = view.norm_of(i)
        if norm is not None:
            factor = represent.batch_norm_scale(norm.gamma, norm.var, eps=norm.eps)
            bank = bank * factor.to(bank)[:, None, None]
        found.append(bank)
    return found
