"""Other ways to make ResNet-20 smaller, for ideas.py: layers of a lower rank, whole branches, exchanged channels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

import secateurs as sc
from secateurs import survey as looking
from secateurs.contracts import Group, Order
from secateurs.graph import Graph
from secateurs.layers.linear_map import from_matrix, output_rows, positions, rows
from secateurs.plans import keep_of
from secateurs.select.moments import Consumer, _State
from secateurs.surgery import Plan

MACS = 0.494


class Bench(Protocol):
    """What is needed of a bench."""

    model: nn.Module
    graph: Graph
    plan: Plan

    def images(self, count: int = ..., seed: int = ...) -> Tensor:
        """Images to calibrate on."""

    def repaired(self, plan: Plan | None = ..., images: Tensor | None = ...) -> nn.Module:
        """The pruned network of a plan, repaired."""


# Exchanges -------------------------------------------------------------------------------------------------------


def exchanged(consumers: Sequence[Consumer], gone: list[int]) -> list[int]:
    """Removed units, each exchanged with the kept one that costs less than it, in turn."""
    n = len(consumers[0].columns)
    for unit in list(gone):
        others = [k for k in gone if k != unit]
        states = [_State(consumer, 1e-6) for consumer in consumers]
        for other in others:
            for state in states:
                state.leave(other)
        alive = [k for k in range(n) if k not in others]
        costs = torch.stack([state.costs(alive) for state in states]).sum(0)
        best = alive[int(costs.argmin())]
        if float(costs.min()) < (1 - 1e-6) * float(costs[alive.index(unit)]):
            gone = [*others, best]
    return gone


def swapped(bench: Bench) -> nn.Module:
    """The repaired network of a removal with exchanges."""
    kept = keep_of(bench.plan)
    count = {g.name: g.size - len(kept[g.name]) for g in bench.graph.free if g.name in kept}
    own = looking._Walk._order

    def order(walk: Any, group: Group, consumers: Any) -> Order:
        before = own(walk, group, consumers)
        first = list(before.units[: count.get(group.name, 0)])
        gone = exchanged([consumer.consumer() for consumer in consumers], first)
        return Order((*gone, *(unit for unit in before.units if unit not in gone)))

    with mock.patch.object(looking._Walk, "_order", order):
        found = looking.survey(bench.model, bench.graph, bench.images())
    made = sc.plan(found.ranking(bench.graph), macs=MACS, allocate=found.sensitivity(), round_to=1)
    return bench.repaired(made)


# Rank ------------------------------------------------------------------------------------------------------------


def ranked(bench: Bench) -> nn.Module:
    r"""Every 3x3 layer but the first in two: r filters, and a 1x1 layer that makes its outputs of them.

    Each is the best of rank r for the original's outputs given what the smaller network hands it (asymmetric, as the
    layers before are already changed): with inputs s and wanted outputs y, the fit $B = E[y s^T] E[s s^T]^{-1}$, cut to
    the leading r directions of $B \operatorname{cov}(s) B^T$. Ranks are the same share of every layer's outputs.
    """
    example, most = torch.zeros(1, 3, 32, 32), MACS * bench.graph.costs.macs()
    ranks, share = dict.fromkeys(_cut(bench.model), 1), 0.0
    while sc.trace(_factored(bench.model, ranks), example).costs.macs() <= most:
        met, share = ranks, share + 1 / 64
        ranks = {n: max(1, int(share * bench.model.get_submodule(n).out_channels)) for n in ranks}
    for name in reversed(list(met)):  # what is left of the budget, to the last layers first
        more = {**met, name: met[name] + 1}
        if sc.trace(_factored(bench.model, more), example).costs.macs() <= most:
            met = more
    small = _factored(bench.model, met)
    images = bench.images()
    for name in _cut(bench.model):
        _fit_(small, bench.model, name, images)
    return small


def _cut(model: nn.Module) -> list[str]:
    """The layers that are cut, in the order in which they run."""
    return [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)][1:]


def _factored(model: nn.Module, ranks: Mapping[str, int]) -> nn.Module:
    small = copy.deepcopy(model)
    for name in _cut(model):
        old = model.get_submodule(name)
        assert isinstance(old, nn.Conv2d)
        first = nn.Conv2d(old.in_channels, ranks[name], 3, old.stride, old.padding, bias=False)
        small.set_submodule(name, nn.Sequential(first, nn.Conv2d(ranks[name], old.out_channels, 1)))
    return small.eval()


class _Reached(Exception):
    pass


def _fit_(small: nn.Module, model: nn.Module, name: str, images: Tensor) -> None:
    old, new = model.get_submodule(name), small.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    assert isinstance(new, nn.Sequential)
    gram: Tensor | None = None
    cross: Tensor | None = None
    generator = torch.Generator().manual_seed(0)
    for chunk in images.split(100):
        x, (_, y) = _input(small, new, chunk), _both(model, old, chunk)
        places = positions(old, y)
        chosen = torch.randperm(places, generator=generator)[:150].sort().values
        s = rows(old, x, chosen)[:, 0] if places > 150 else rows(old, x)[:, 0]
        t = output_rows(old, y, chosen if places > 150 else None)[:, 0]
        s = torch.cat([s, torch.ones_like(s[:, :1])], 1).double()
        gram = s.T @ s if gram is None else gram + s.T @ s
        cross = t.double().T @ s if cross is None else cross + t.double().T @ s
    assert gram is not None
    assert cross is not None
    gram = gram + 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    fit = torch.linalg.solve(gram, cross.T).T  # with the constant
    count = gram[-1, -1]
    mean = gram[-1, :-1] / count
    spread = gram[:-1, :-1] / count - mean[:, None] * mean
    first, second = new[0], new[1]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    leading = torch.linalg.eigh(fit[:, :-1] @ spread @ fit[:, :-1].T).eigenvectors[:, -first.out_channels :]
    bias = cross[:, -1] / count - leading @ (leading.T @ fit[:, :-1]) @ mean
    with torch.no_grad():
        first.weight.copy_(from_matrix(first, (leading.T @ fit[:, :-1])[None]))
        second.weight.copy_(leading[:, :, None, None])
        assert second.bias is not None
        second.bias.copy_(bias)


@torch.no_grad()
def _both(model: nn.Module, layer: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer reads and gives."""
    seen: list[Tensor] = []

    def stop(_: nn.Module, given: tuple[Tensor, ...], y: Tensor) -> None:
        seen.extend((given[0], y))
        raise _Reached

    handle = layer.register_forward_hook(stop)
    try:
        model(images)
    except _Reached:
        pass
    finally:
        handle.remove()
    return seen[0], seen[1]


def _input(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    return _both(model, layer, images)[0]


# Branches --------------------------------------------------------------------------------------------------------


class Mean(nn.Module):
    """What stands for a branch: the mean of what it gave, by channel."""

    def __init__(self, value: Tensor, stride: int) -> None:
        super().__init__()
        self.value, self.stride = nn.Parameter(value.view(1, -1, 1, 1), requires_grad=False), stride

    def forward(self, x: Tensor) -> Tensor:
        """The mean at every place."""
        h, w = (-(-side // self.stride) for side in x.shape[2:])
        return self.value.expand(len(x), -1, h, w)


def branches(bench: Bench) -> nn.Module:
    """Branches that become their means, the one that the outputs feel least first, until the budget is met.

    The two layers of a branch go; batch norms and activation between them as well. After each the others are looked at
    anew, and what is left is not refitted: this is the end of a damage curve, to see whether it is worth being one.
    """
    small, images = copy.deepcopy(bench.model).eval(), bench.images()[:1000]
    with torch.no_grad():
        wanted = bench.model(images)
    example = torch.zeros(1, 3, 32, 32)
    names = [n for n, m in bench.model.named_modules() if type(m).__name__ == "BasicBlock"]
    while sc.trace(small, example).costs.macs() > MACS * bench.graph.costs.macs():
        best, found = np.inf, ("", small)
        for name in names:
            tried = _without(small, name, images)
            with torch.no_grad():
                error = float((tried(images) - wanted).square().sum())
            if error < best:
                best, found = error, (name, tried)
        names.remove(found[0])
        small = found[1]
    return small


def _without(model: nn.Module, name: str, images: Tensor) -> nn.Module:
    tried = copy.deepcopy(model)
    block: Any = tried.get_submodule(name)
    mean = _both(tried, block.bn2, images)[1].mean((0, 2, 3))
    block.conv2 = Mean(mean, block.conv1.stride[0])  # after the activation, which would take what is below 0
    block.conv1, block.bn1, block.bn2 = nn.Identity(), nn.Identity(), nn.Identity()
    return tried
