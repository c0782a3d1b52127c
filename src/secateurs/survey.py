"""survey(): one look at every group with data, for the method `moments` and the allocation `sensitivity`.

The original is run once, operation by operation, on a little unlabelled data. At each group the moments of what
its consumers read give the order in which units leave; then the consumers are refitted without the first k units,
for several k, and the rest of the network is run on the kept values to see what the outputs feel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.allocate.sensitivity import Curve, Sensitivity
from secateurs.checks import check_effort
from secateurs.compensate.reconstruct import centred
from secateurs.compensate.refit import refit
from secateurs.compensate.walk import FLOPS, WIDEST, samples_of
from secateurs.contracts import Group, IntArray, Loader, Order, Progress, Ranking
from secateurs.effort import Effort
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.layers.linear_map import channel_columns, from_matrix, linear_map, matrix, positions, rows
from secateurs.network.blocks import Layer, layers, norm_of
from secateurs.network.exported import Exports
from secateurs.network.felt import Change, Feeler, Undifferentiable, until_known
from secateurs.network.interpreter import Front, affordable
from secateurs.running.eval_mode import evaluation
from secateurs.select.moments import Consumer, moments
from secateurs.statistics.moments import Moments

# By effort: how well the damages are to be known before no more samples are looked at, and how many at most.
_KNOWN: Mapping[Effort, tuple[float, int]] = {"fast": (0.25, 100), "default": (0.1, 300), "best": (0.0, 300)}
_LEVELS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)


@dataclass(frozen=True)
class Survey:
    """Orders of removal with their damages, and measured damage at some levels, by group."""

    orders: Mapping[str, Order]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    samples: int = 0

    def ranking(self, graph: Graph) -> Ranking:
        """As `rank` gives it."""
        return Ranking(graph, self.orders, "moments")

    def sensitivity(self, blend: float = 0.0) -> Sensitivity:
        """The allocation of the measured curves; see `Sensitivity`."""
        return Sensitivity(self.curves, blend)


def survey(
    model: nn.Module,
    graph: Graph,
    data: Loader,
    *,
    orders: Mapping[str, Order] | None = None,
    levels: Sequence[float] = _LEVELS,
    limit: int = 1500,
    measured: int | None = None,
    effort: Effort = "default",
    memory: float = 6.0,
    seed: int = 0,
    progress: Progress | None = None,
    exports: Exports | None = None,
) -> Survey:
    r"""Rank every group by its consumers' moments, and find what losing its units does to the outputs.

    Damage at a level is $E\lVert y - y' \rVert^2 / E\lVert y - E y \rVert^2$ over the outputs y of the network, with
    the consumers refitted by least squares; scores of classes are first centred over the classes, as what is added
    to all of them changes nothing. It is taken from the outputs before any softmax that is not in the network: on
    samples it was trained on, a classifier is so sure that the Kullback-Leibler divergence is mostly noise. Damage
    counts once for every layer that makes the units: the repair refits a single producer as well, which takes away much
    of the damage, but not producers that a shortcut couples. The samples it is taken from are not those of the moments:
    a refit of a thousand inputs on three hundred samples would seem to do no damage at all.

    With the effort "best" the rest of the network is run for every group and level. Otherwise the difference of the
    outputs is taken to first order in what the refitted consumers give else: $E\lVert J d \rVert^2$, of which one
    pass back through the network gives an estimate for all groups and levels at once (`network.felt`).

    Args:
        model: The original; untouched.
        graph: Its structure.
        data: Unlabelled samples.
        orders: Orders to measure instead of those by moments.
        levels: Shares of a group that leave; empty to measure nothing.
        limit: Samples for the moments, at most.
        measured: Samples of these that are kept for the damage, at most half; by the effort where it is not said.
        effort: "fast" and "default" stop when the damages are known to 25 and 10 % (in the median), after 100 and
            300 samples at the latest; "best" runs the rest of the network on 300.
        memory: GiB for values kept of all samples; the first groups see fewer where that is little, but always those
            that the damage is taken from and one chunk more.
        seed: Of the output positions that the moments use.
        progress: Told of every group.
        exports: Captures that are known already.

    Returns:
        Orders and curves. Groups whose consumers cannot be refitted (weights that are computed, recurrent layers, more
        than 8,192 inputs) are ordered by the size of the weights that read them, and measured without a refit.

    Raises:
        InputError: No data, a memory not above 0, or a network that torch.export cannot capture.

    Cost:
        One forward pass over `limit` samples, O(d^3) a reader, and a pass forth and back over `measured` samples, with
        the gradient of consumers' weights sample by sample; memory for their weights at all levels. With "best"
        instead for each group and level a pass over `measured` samples from the group to the output, and so for outputs
        that cannot be differentiated and networks whose layers read (time, samples, ...).
    """
    check_effort("effort", effort)
    if not memory > 0:
        raise InputError(f"memory is {memory:g}; give GiB above 0.")
    device = next(model.parameters()).device
    with evaluation(model), torch.no_grad():
        chunks = samples_of(data, limit, device)
        doubt, most = _KNOWN[effort]
        several = max(1, (most if measured is None else measured) // len(chunks[0][0]))
        held = exports or Exports()
        if effort != "best":
            try:
                walk = _Walk(model, graph, chunks, several, seed, memory, held)
                return walk.run(orders, levels, doubt, progress)
            except Undifferentiable:  # what the outputs feel cannot be asked, only seen
                pass
        walk = _Walk(model, graph, chunks, several, seed, memory, held)
        return walk.run(orders, levels, None, progress)


@dataclass(frozen=True, eq=False)
class _Consumer:
    """A consumer of a group in the exported network, with its moments."""

    module: nn.Module
    node: int
    weight: int
    gram: Tensor
    columns: IntArray
    scale: Tensor | None  # of the batch norm that follows: errors count as they are after it

    @cached_property
    def cross(self) -> Tensor:
        """E[s y^T] with what the layer gives."""
        weights = matrix(self.module).double()
        return self.gram[..., :-1] @ weights.transpose(1, 2)

    def consumer(self) -> Consumer:
        """As the selection sees it."""
        weights = matrix(self.module).double()
        if self.scale is not None:
            weights = weights * self.scale.double().reshape(*weights.shape[:2], 1)
        return Consumer(self.gram, weights, self.columns)


@dataclass(frozen=True, eq=False)
class _Cut:
    """A group without its first `count` units: weights of its consumers, and the nodes of the layers they belong to."""

    count: int
    weights: Mapping[int, Tensor]
    nodes: Mapping[int, int]

    def change(self, before: Mapping[int, Tensor]) -> Change:
        """What the weights gain, by layer."""
        return {self.nodes[place]: weight - before[place] for place, weight in self.weights.items()}


class _Walk:
    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        chunks: list[tuple[Tensor, ...]],
        measured: int,
        seed: int,
        memory: float,
        exports: Exports,
    ) -> None:
        self.graph, self.model, self.memory = graph, model, memory
        self.net = exports.of(model, chunks[0])
        self.front = Front(self.net, chunks)
        self.measured = max(1, min(measured, len(chunks) // 2))
        self.apart = self.measured if len(chunks) > 1 else 0
        self.looked, self.seed = chunks[: self.measured], seed
        self.front.admit(self.apart + 1)
        self.chunk = len(chunks[0][0])
        self.generator = torch.Generator().manual_seed(seed)
        self.layers = {layer.name: layer for layer in layers(self.net)}
        self.place = {name: i for i, name in self.net.state.items()}
        self.out = self.net.outputs[0] if self.net.outputs else -1

    def run(
        self,
        orders: Mapping[str, Order] | None,
        levels: Sequence[float],
        doubt: float | None,
        progress: Progress | None,
    ) -> Survey:
        """Orders and curves; these to first order and to a relative error of `doubt`, or in full without one."""
        groups = sorted(self.graph.free, key=self._start)
        found: dict[str, Order] = {}
        curves: dict[str, Curve] = {}
        cuts: dict[str, list[_Cut]] = {}
        wanted: list[Tensor] | None = None
        for number, group in enumerate(groups):
            self.front.advance(self._start(group))
            room = affordable(self.memory, self.front.widest(self.front.at))
            self.front.admit(max(self.apart + 1, room))
            consumers = self._consumers(group)
            order = orders[group.name] if orders is not None else self._order(group, consumers)
            found[group.name] = order
            several = [self._cut(group, consumers, order, level) for level in _counts(group, levels)]
            if doubt is not None and consumers:
                cuts[group.name] = several
            elif levels:
                wanted = wanted if wanted is not None else self._outputs({})
                curves[group.name] = self._measured(group, several, wanted)
            if progress is not None:
                progress("survey", number + 1, len(groups))
        curves.update(self._predicted(cuts, doubt or 0.0))
        samples = len(self.front.chunks) * self.chunk
        names = [g.name for g in self.graph.free]
        return Survey({n: found[n] for n in names}, {n: curves[n] for n in names if n in curves}, samples)

    def _start(self, group: Group) -> int:
        """The first node that reads the units."""
        places = [self.place[s.tensor] for s in group.slots_as("consumer") if s.tensor in self.place]
        users = [self.net.index[u] for p in places for u in self.net.nodes[p].users]
        return min(users, default=0)

    def _consumers(self, group: Group) -> list[_Consumer]:
        """Readers that can be refitted; empty unless all can."""
        readers: list[tuple[nn.Module, Layer]] = []
        places: list[IntArray] = []
        for slot in group.slots_as("consumer"):
            name = slot.tensor.removesuffix(".weight")
            layer = self.layers.get(name)
            if layer is None or slot.tensor not in self.place:
                return []
            module = self.model.get_submodule(name)
            columns, form = channel_columns(module, slot.positions, slot.axis), linear_map(module)
            if columns is None or form is None or form.width > WIDEST:
                return []
            readers.append((module, layer))
            places.append(columns)
        found = []
        for (module, layer), columns, gram in zip(readers, places, self._grams(readers), strict=True):
            affine = norm_of(self.net, layer)
            weight = self.net.given(layer.node, 1)
            assert weight is not None
            found.append(
                _Consumer(module, layer.node, weight, gram, columns, None if affine is None else affine[0])
            )
        return found

    def _grams(self, readers: Sequence[tuple[nn.Module, Layer]]) -> list[Tensor]:
        """E[s s^T] of what each reads; they are far apart in a trunk, so its values are made once for all."""
        sources = [self.net.given(layer.node, 0) for _, layer in readers]
        wanted = [source for source in sources if source is not None]
        totals: list[Moments | None] = [None] * len(readers)
        for values in self.front.chunks[self.apart :]:
            found = self.front.interpreter.several(wanted, values)
            for number, ((module, layer), source) in enumerate(zip(readers, wanted, strict=True)):
                form = linear_map(module)
                assert form is not None
                r = rows(module, found[source], self.chosen(module, layer, form.width))
                part = Moments.of(torch.cat([r, torch.ones_like(r[..., :1])], 2))
                before = totals[number]
                totals[number] = part if before is None else before + part
        return [total.gram() for total in totals if total is not None]

    def chosen(self, module: nn.Module, layer: Layer, width: int) -> Tensor | None:
        """Some output positions of each sample: 150 rows a column, at least 60,000, are plenty.

        Wide layers make do with fewer: products of 400,000 rows of 2,304 numbers would take minutes.
        """
        places = positions(module, self.net.nodes[layer.node].meta["val"])
        seen = (len(self.front.chunks) - self.apart) * self.chunk
        wanted = max(60_000, min(150 * width, int(FLOPS / width**2)), 20 * width)
        each = -(-wanted // seen)
        if each >= places:
            return None
        pick = torch.randperm(places, generator=self.generator)[:each].sort().values
        return pick.to(next(module.parameters()).device)

    def _order(self, group: Group, consumers: Sequence[_Consumer]) -> Order:
        if consumers:
            return moments([consumer.consumer() for consumer in consumers])
        worth = np.zeros(group.size)
        for slot in group.slots_as("consumer") or group.slots_as("producer"):
            tensor = self.net.weights.get(self.place.get(slot.tensor, -1))
            if tensor is not None:
                index = torch.as_tensor(slot.positions, device=tensor.device)
                size = tensor.detach().movedim(slot.axis, 0)[index].flatten(1).double()
                worth += (size.norm(dim=1) / size.norm().clamp_min(1e-300)).cpu().numpy()
        return Order(tuple(int(i) for i in np.argsort(worth, kind="stable")))

    def _cut(self, group: Group, consumers: Sequence[_Consumer], order: Order, count: int) -> _Cut:
        """The weights of the consumers without the first units."""
        gone = np.array(order.units[:count], dtype=np.int64)
        weights = self._without(consumers, gone) if consumers else self._silenced(group, gone)
        nodes = {consumer.weight: consumer.node for consumer in consumers}
        return _Cut(count, weights, nodes)

    def _measured(self, group: Group, cuts: Sequence[_Cut], wanted: list[Tensor]) -> Curve:
        """Damages from the outputs with other weights."""
        producers = max(1, len(group.slots_as("producer")))
        return tuple((cut.count, producers * _difference(wanted, self._outputs(cut.weights))) for cut in cuts)

    def _predicted(self, cuts: Mapping[str, Sequence[_Cut]], doubt: float) -> dict[str, Curve]:
        """Damages to first order, all by the same passes."""
        if not any(cuts.values()):
            return {}
        changes = {name: [cut.change(self.net.weights) for cut in several] for name, several in cuts.items()}
        feel = Feeler(self.front.interpreter, self.out, changes, centred)
        felt = until_known(feel, self.looked, doubt=doubt, seed=self.seed)
        spread = _spread(centred(felt.outputs.double())) / len(felt.outputs)
        curves: dict[str, Curve] = {}
        for name, several in cuts.items():
            producers = max(1, len(self.graph[name].slots_as("producer")))
            rising = np.maximum.accumulate([producers * moved / spread for moved in felt.mean(name)])
            curves[name] = tuple((cut.count, float(d)) for cut, d in zip(several, rising, strict=True))
        return curves

    def _without(self, consumers: Sequence[_Consumer], gone: IntArray) -> dict[int, Tensor]:
        """Weights refitted on the units that stay, zero at those that are gone; no bias, to stay simple."""
        changed = {}
        for consumer in consumers:
            out = torch.as_tensor(consumer.columns[gone].ravel(), device=consumer.gram.device)
            stay = torch.ones(consumer.gram.shape[1], dtype=torch.bool, device=consumer.gram.device)
            stay[out] = False
            weights = matrix(consumer.module).double()
            part = consumer.gram[:, stay][:, :, stay]
            fitted, _ = refit(part, consumer.cross[:, stay], weights[:, :, stay[:-1]], constant=False)
            whole = torch.zeros_like(weights)
            whole[:, :, stay[:-1]] = fitted
            like = consumer.module.get_parameter("weight")
            changed[consumer.weight] = from_matrix(consumer.module, whole.to(like.dtype)).contiguous()
        return changed

    def _silenced(self, group: Group, gone: IntArray) -> dict[int, Tensor]:
        changed: dict[int, Tensor] = {}
        for slot in group.slots_as("consumer"):
            place = self.place.get(slot.tensor)
            if place is not None:
                quiet: Tensor = (changed[place] if place in changed else self.net.weights[place]).clone()
                index = torch.as_tensor(slot.positions[gone].ravel(), device=quiet.device)
                changed[place] = quiet.index_fill_(slot.axis, index, 0)
        return changed

    def _outputs(self, changed: Mapping[int, Any]) -> list[Tensor]:
        kept = self.front.chunks[: self.measured]
        return [self.front.interpreter.pull(self.out, {**values, **changed}) for values in kept]


def _difference(wanted: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """Mean squared difference relative to the variance of what is wanted."""
    a, b = torch.cat(list(wanted)).double(), torch.cat(list(found)).double()
    a, b = centred(a), centred(b)
    return float((a - b).square().sum()) / _spread(a)


def _spread(outputs: Tensor) -> float:
    """Sum of squares around the mean over the samples, above 0."""
    return max(float((outputs - outputs.mean(0)).square().sum()), 1e-300)


def _counts(group: Group, levels: Sequence[float]) -> list[int]:
    return sorted({max(1, round(level * group.size)) for level in levels})
