r"""Refit the layers *before* the removed channels: Gauss-Newton, so again linear least squares.

With the layer after them fixed, the output after the activation is $f(\theta)$ for the weights $\theta$ of the
producers. Around the present ones $f(\theta + \delta) \approx f(\theta) + J \delta$ (for ReLUs: with the pattern of
active units held), and $\delta$ minimises $\lVert y - f(\theta) - J \delta \rVert^2$. J is never formed: products
with J and $J^T$ are passes through the few layers, and conjugate gradients, preconditioned with the Gram matrix
of what each producer reads, need about ten of them. No learning rate, no epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from secateurs.compensate.conjugate import Parts, conjugate_gradients
from secateurs.compensate.walk import WIDEST, Stop, judges
from secateurs.layers.linear_map import from_matrix, linear_map, matrix, positions, rows, to_matrix
from secateurs.network.blocks import Layer, norm_of, weights_of
from secateurs.network.tangent import Linearised
from secateurs.statistics.moments import Moments

_ELEMENTS = 8e6  # outputs that a refinement looks at, at most
_ROWS = 100  # of data for every input of a producer: they only precondition
_BETWEEN = 1e8  # values that it computes on the way to them


@dataclass(frozen=True, eq=False)
class _Unknown:
    """The weight of one producer, and the bias of it or of its batch norm; nodes of the exported network."""

    layer: Layer
    weight: int
    shift: int | None
    precision: Tensor  # of its rows (with a constant): (g, d + 1, d + 1)


def refine_(stop: Stop, *, steps: int = 8) -> float:
    """One Gauss-Newton step on the producers of a layer's input, in place.

    A quarter as many other samples are kept out of the fit: conjugate gradients end where the error on those
    begins to rise, so that few samples are not learnt by heart.

    Args:
        stop: A layer with producers; else nothing happens.
        steps: Products with J^T J.

    Returns:
        The squared error after over the one before, on the samples kept out (on those of the fit where none
        are); 1 where the step does not lower it, and then nothing has changed.

    Cost:
        `steps` + 3 passes forth and back through the layers between, over at most 8e6 output values, or 1e8 of all
        values between, but one chunk at least.
    """
    used, held = _chunks(stop)
    unknowns = [
        u for u in (_unknown(stop, producer, used) for producer in stop.block.producers) if u is not None
    ]
    types = {p.dtype for p in stop.pair.small.net.model.parameters() if p.is_floating_point()}
    if not unknowns or len(types) > 1:  # gradients of several precisions do not add up
        return 1.0
    leaves = _leaves(stop, unknowns)
    values = {number: _values(stop, number) for number in (*used, *held)}
    system = [_linearised(stop, leaves, number, values[number]) for number in used]
    right = _summed([part.back(part.error) for part in system])
    other = [_linearised(stop, leaves, number, values[number], back=False) for number in held]
    scales = _scales(system, unknowns, stop)

    def normal(x: Parts) -> Parts:
        return _summed([part.back(part.forth(x)) for part in system])

    def precondition(r: Parts) -> Parts:
        return _preconditioned(stop, unknowns, scales, r)

    def watch(x: Parts) -> float:
        return sum(float((part.error - part.forth(x)).square().sum()) for part in other)

    move = conjugate_gradients(normal, right, precondition, steps, watch if other else None)
    before = sum(float(part.error.square().sum()) for part in other or system)
    return _accept(stop, leaves, move, {number: values[number] for number in held or used}, before)


@dataclass(frozen=True, eq=False)
class _Linear:
    """f around the present weights on one chunk: the error, and products with J and its transpose."""

    around: Linearised
    leaves: dict[int, Tensor]
    error: Tensor

    def back(self, u: Tensor) -> Parts:
        """J^T u."""
        return list(torch.autograd.grad(self.around.output, list(self.leaves.values()), u, retain_graph=True))

    def forth(self, x: Parts) -> Tensor:
        """J x."""
        return self.around.forth(dict(zip(self.leaves, x, strict=True)))


@torch.no_grad()
def _values(stop: Stop, number: int) -> Mapping[int, Any]:
    """What the smaller network has on a chunk, the shortcut included: the producers do not change it."""
    values, other = stop.pair.chunks[number][1], stop.block.residual
    return values if other is None else {**values, other: stop.pair.small.pull(other, values)}


def _output(stop: Stop, values: Mapping[int, Any], leaves: Mapping[int, Any]) -> Tensor:
    """What the smaller network has after the activation, with other weights of the producers."""
    output: Tensor = stop.pair.small.pull(stop.block.end, {**values, **leaves})
    return output


def _linearised(
    stop: Stop, leaves: dict[int, Tensor], number: int, values: Mapping[int, Any], back: bool = True
) -> _Linear:
    """One chunk, with the graph of the gradients where products back are asked for."""
    with torch.set_grad_enabled(back):
        around = Linearised(stop.pair.small, stop.block.end, values, leaves)
    wanted = stop.wanted(number, stop.block.end)
    return _Linear(around, leaves, (wanted - around.output).detach())


def _chunks(stop: Stop) -> tuple[list[int], list[int]]:
    """Which chunks to fit to, and a quarter as many others to stop on.

    Both are drawn anew every time; of few samples only from those that are always, or never, fitted to.
    """
    count = len(stop.pair.chunks)
    outputs, between = _sizes(stop)
    wanted = min(_ELEMENTS, max(stop.pace.fewest, stop.pace.outputs * _sought(stop)))
    several = min(max(1, round(min(wanted / outputs, _BETWEEN / between))), count)
    held = min(max(1, several // 4), count // 4)
    drawn: list[int] = torch.randperm(count, generator=stop.generator).tolist()
    if stop.apart:
        fit = [k for k in drawn if not judges(k, count)]
        rest = [k for k in drawn if judges(k, count)]
        return sorted(fit[:several]), sorted(rest[: max(1, several // 4)])
    several = min(several, count - held)
    return sorted(drawn[:several]), sorted(drawn[several : several + held])


def _sought(stop: Stop) -> int:
    """How many unknown weights the producers have."""
    modules = [stop.pair.small.net.model.get_submodule(layer.name) for layer in stop.block.producers]
    return sum(module.get_parameter("weight").numel() for module in modules)


def _sizes(stop: Stop) -> tuple[int, int]:
    """Values a chunk has at the end of the block, and at all nodes from the first producer on."""
    nodes = stop.pair.small.net.nodes[stop.block.first() : stop.block.end + 1]
    sizes = [node.meta["val"].numel() for node in nodes if isinstance(node.meta.get("val"), Tensor)]
    return max(1, sizes[-1]), max(1, sum(sizes))


@torch.no_grad()
def _unknown(stop: Stop, producer: Layer, used: Sequence[int]) -> _Unknown | None:
    run, net = stop.pair.small, stop.pair.small.net
    node = net.nodes[producer.node]
    module = net.model.get_submodule(producer.name)
    form = linear_map(module)
    if form is None or form.width > WIDEST:
        return None
    weight, place = weights_of(net, producer)
    source = net.given(producer.node, 0)
    assert source is not None
    total: Moments | None = None
    each = max(1, _ROWS * form.width // max(1, len(used) * node.meta["val"].shape[0]))
    places = positions(module, node.meta["val"])
    for number in used:
        chosen = None
        if each < places:
            chosen = torch.randperm(places, generator=stop.generator)[:each]
            chosen = chosen.to(next(module.parameters()).device)
        x = run.pull(source, stop.pair.chunks[number][1])
        r = rows(module, x, chosen)
        part = Moments.of(torch.cat([r, torch.ones_like(r[..., :1])], 2))
        total = part if total is None else total + part
    assert total is not None
    gram = total.gram()
    size = gram.diagonal(dim1=1, dim2=2).mean(1)
    gram.diagonal(dim1=1, dim2=2).add_((1e-4 * size + 1e-12)[:, None])
    return _Unknown(producer, weight, place, torch.linalg.inv(gram).to(r.dtype))


def _leaves(stop: Stop, unknowns: Sequence[_Unknown]) -> dict[int, Tensor]:
    weights = stop.pair.small.net.weights
    places = [p for u in unknowns for p in (u.weight, u.shift) if p is not None]
    return {place: weights[place].detach().clone().requires_grad_() for place in places}


def _summed(parts: Sequence[Parts]) -> Parts:
    return [torch.stack(p).sum(0) for p in zip(*parts, strict=True)]


def _scales(system: Sequence[_Linear], unknowns: Sequence[_Unknown], stop: Stop) -> list[Tensor]:
    """How strongly each filter acts on the output: the size of J^T u for random u, a row for each filter."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, system[0].error.shape, generator=generator).to(system[0].error) * 2 - 1
    probe = system[0].back(signs)
    scales, at = [], 0
    for unknown in unknowns:
        table = _table(stop, unknown, probe, at)
        size = ((table @ unknown.precision) * table).sum(2, keepdim=True) / table.shape[2]
        scales.append(size.clamp_min(1e-6 * float(size.mean()) + 1e-30))
        at += 1 + (unknown.shift is not None)
    return scales


def _table(stop: Stop, unknown: _Unknown, parts: Parts, at: int) -> Tensor:
    """The part of a vector that belongs to one producer as (g, filters, d + 1), the bias last.

    Gradients of the weights come per filter; where a batch norm follows, its shift is in other units, so the
    table uses them as the layer would have them.
    """
    module = stop.pair.small.net.model.get_submodule(unknown.layer.name)
    form = linear_map(module)
    assert form is not None
    weights = _as_matrix(stop, unknown, parts[at])
    if unknown.shift is None:
        return torch.cat([weights, torch.zeros_like(weights[..., :1])], 2)
    return torch.cat([weights, parts[at + 1].reshape(*weights.shape[:2], 1) * _unit(stop, unknown)], 2)


def _unit(stop: Stop, unknown: _Unknown) -> Tensor:
    """What the shift is multiplied by to be in units of the layer's own output: the batch norm's scale."""
    scale = norm_of(stop.pair.small.net, unknown.layer)
    module = stop.pair.small.net.model.get_submodule(unknown.layer.name)
    shape = (*matrix(module).shape[:2], 1)
    if scale is None:
        return torch.ones(shape, device=unknown.precision.device, dtype=unknown.precision.dtype)
    size = torch.where(scale[0].abs() > 1e-12, scale[0], torch.ones_like(scale[0]))
    return size.reshape(shape).to(unknown.precision.dtype)


def _as_matrix(stop: Stop, unknown: _Unknown, values: Tensor) -> Tensor:
    return to_matrix(stop.pair.small.net.model.get_submodule(unknown.layer.name), values)


def _preconditioned(stop: Stop, unknowns: Sequence[_Unknown], scales: Sequence[Tensor], r: Parts) -> Parts:
    """P^-1 r, P = (rows' Gram matrix) x (scale of each filter), in the units of the layer's own output."""
    result: Parts = []
    at = 0
    for unknown, scale in zip(unknowns, scales, strict=True):
        solved = (_table(stop, unknown, r, at) @ unknown.precision) / scale
        module = stop.pair.small.net.model.get_submodule(unknown.layer.name)
        result.append(from_matrix(module, solved[..., :-1].contiguous()))
        if unknown.shift is not None:
            result.append((solved[..., -1:] * _unit(stop, unknown)).reshape(r[at + 1].shape))
        at += 1 + (unknown.shift is not None)
    return result


@torch.no_grad()
def _accept(
    stop: Stop,
    leaves: dict[int, Tensor],
    move: Parts,
    used: Mapping[int, Mapping[int, Any]],
    before: float,
) -> float:
    """Take the whole step, or half or a quarter of it; none where the error does not fall."""
    net = stop.pair.small.net
    for share in (1.0, 0.5, 0.25):
        tried = {place: leaf + share * m for (place, leaf), m in zip(leaves.items(), move, strict=True)}
        after = 0.0
        for number, values in used.items():
            output = _output(stop, values, tried)
            after += float((stop.wanted(number, stop.block.end) - output).square().sum())
        if after < before:
            for place, value in tried.items():
                net.weights[place].copy_(value)
            return after / max(before, 1e-300)
    return 1.0
