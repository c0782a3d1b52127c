"""A few label-free gradient steps on the whole network, for those who can spend a minute more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.compensate.batchwise import Batchwise
from secateurs.compensate.sequential import noticed
from secateurs.compensate.walk import Repaired, Stop, stops, unsupported
from secateurs.contracts import Loader, Progress
from secateurs.data.batches import joined
from secateurs.errors import InputError
from secateurs.layers.linear_map import linear_map
from secateurs.layout import laid_out, laid_out_as
from secateurs.network.exported import ExportedNetwork, Exports
from secateurs.network.interpreter import Instead, Interpreter
from secateurs.network.paired import PairedNetworks
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.surgery.plan import Plan

Augment = Callable[[Tensor, torch.Generator], Tensor]
_LONG, _LARGE = 500, 32  # steps and samples a step from which on batch norms are as in training
_SETTLED = 0.5  # of the steps, after which they stay as they have become
_MOMENTUM = 0.05  # of a batch in their statistics
_WARM = 20  # steps over which the learning rate rises


def reconstruct_(
    small: nn.Module,
    model: nn.Module,
    plan: Plan,
    data: Loader,
    *,
    epochs: int = 4,
    learning_rate: float = 0.01,
    batch: int = 100,
    augment: Augment | None = None,
    limit: int = 3000,
    seed: int = 0,
    progress: Progress | None = None,
    exports: Exports | None = None,
) -> Repaired:
    r"""Train a pruned network to give what the original gives, at its end and after every block, without labels.

    Adam on $\frac{\lVert y - y_0 \rVert^2}{\operatorname{var} y_0} + \frac1B \sum_b
    \frac{\lVert z_b - z_{b,0} \rVert^2}{\operatorname{var} z_{b,0}}$ with y the outputs (scores of classes centred over
    them) and $z_b$ what leaves block b after its activation, in the pruned network and (index 0) in the original.
    The blocks keep the outputs from being learnt by heart. A filter's step is `learning_rate` times the root mean
    square of its entries; it falls to 0 along a cosine. Batch norms stay as they are in evaluation; of 500 steps and
    more the first half normalise each batch by itself, as in training (fewer do not make good what that costs). The
    last tenth of the samples is not trained on: where the sum has not fallen on them by the end, batch norms are left
    alone in a second try, and where that has not helped either, the network keeps what it had. To be run after
    `least_squares_`, which brings it near, and which best has not seen that tenth (`trained_on`).

    Args:
        small: The repaired network; filled in place, left in evaluation mode.
        model: The original; untouched.
        plan: What was removed; of several steps, the last.
        data: Unlabelled samples; the more the better.
        epochs: Passes over the data.
        learning_rate: Relative size of the largest steps.
        batch: Samples a step, at most a tenth of all.
        augment: What to do to the first input of every batch before it is used (random flips, crops, noise): a
            function of the batch and a generator of the processor's random numbers. Both networks see the result.
        limit: At most so many samples.
        seed: Of the order of the samples, and of `augment`.
        progress: Told of every epoch.
        exports: Captures that are known already.

    Returns:
        The relative error of every block on the samples held out, after the training, and remarks.

    Raises:
        InputError: No data or fewer than two batches, no epochs, or a network that cannot be followed operation by
            operation.

    Cost:
        `epochs` passes of the original, forth, and of the smaller network, forth and back, twice where the first try
        has not helped; memory for all values of one batch.

    References:
        [hinton2015distilling] for the outputs; [romero2015fitnets] for what is inside.
    """
    if epochs < 1 or not learning_rate > 0 or batch < 1:
        raise InputError(
            f"epochs is {epochs}, learning_rate {learning_rate:g} and batch {batch}; all must be positive."
        )
    small.eval()
    with evaluation(model):
        whole = [laid_out(x.to(device_of(model))) for x in joined(data, limit)]
        several, size = _dealt(len(whole[0]), batch)
        if several < 1:
            raise InputError(
                f"data: {len(whole[0])} samples are too few to train on and to check; give a hundred at least."
            )
        chunks = list(zip(*(torch.split(x[: len(x) // size * size], size) for x in whole), strict=True))
        chunks, apart = chunks[:several], chunks[several:]
        pair = PairedNetworks(model, small, chunks[:1], exports=exports)
        if pair.plain:
            chunks, apart = ([tuple(x.contiguous() for x in c) for c in part] for part in (chunks, apart))
        found = stops(pair, plan, ridge=1.0, seed=seed)
        aims = _Aims.of(pair, found)
        train = [torch.cat(parts) for parts in zip(*chunks, strict=True)]
        before = aims.errors(apart)
        ways = (_MOMENTUM, None) if _many(epochs * several, size) else (None,)
        for momentum in ways:
            norms, leaves = Batchwise(pair.small.net, momentum), _leaves(pair.small.net)
            _train_(aims, norms, leaves, train, epochs, learning_rate, size, augment, seed, progress)
            leaves = {**leaves, **norms.running}
            after = aims.errors(apart, leaves)
            if _total(after) < _total(before):
                break
    if _total(after) < _total(before):
        with torch.no_grad():
            for place, value in leaves.items():
                pair.small.net.weights[place].copy_(value)
    else:
        after = before
    remarks = (*noticed(pair), *unsupported(found, plan, pair))
    samples = sum(len(c[0]) for c in (*chunks, *apart))
    left = {name or "outputs": value for name, value in after.items()}
    return Repaired("reconstruct", left, samples, remarks)


def trained_on(samples: int, batch: int = 100) -> int:
    """How many of so many samples, from the first, `reconstruct_` trains on; the others tell whether it helped.

    Example:
        >>> trained_on(3000), trained_on(150), trained_on(1)
        (2700, 135, 0)
    """
    several, size = _dealt(samples, batch)
    return several * size


def _dealt(samples: int, batch: int) -> tuple[int, int]:
    """Batches to train on, and their size: of few samples they are small, so that no more than a tenth is apart."""
    size = max(1, min(batch, samples // 10))
    count = samples // size
    return count - max(1, count // 10), size


@dataclass(frozen=True, eq=False)
class _Aims:
    """The two networks, and the nodes at which they are compared: ends of blocks by name, and the outputs.

    `distance`: how far outputs are from each other, those of the smaller network first.
    """

    full: Interpreter
    small: Interpreter
    blocks: Mapping[str, Stop]
    outputs: Sequence[int]
    distance: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def of(cls, pair: PairedNetworks, found: Sequence[Stop]) -> _Aims:
        """Ends of all layers that the repair looks at; where there are shortcuts, only those they end in."""
        ends = [stop for stop in found if stop.block.residual is not None] or found
        blocks = {stop.block.layer.name: stop for stop in ends}
        net = pair.full.net
        outputs = [i for i in net.outputs if net.nodes[i].meta["val"].is_floating_point()]
        return cls(pair.full, pair.small, blocks, outputs, _scored)

    def compared(
        self, chunk: Sequence[Tensor], leaves: Mapping[int, Tensor], instead: Instead | None = None
    ) -> dict[str, Tensor]:
        """Relative squared error at every block and, as "", of the outputs."""
        places = [stop.block.end for stop in self.blocks.values()]
        with torch.no_grad():
            wanted = self.full.several(
                [*places, *self.outputs], dict(zip(self.full.net.inputs, chunk, strict=True))
            )
        given = {**dict(zip(self.small.net.inputs, chunk, strict=True)), **leaves}
        found = self.small.several([*places, *self.outputs], given, instead)
        errors = {}
        for name, stop in self.blocks.items():
            place = stop.block.end
            errors[name] = _relative(found[place], stop.part(wanted[place]))
        ends = [self.distance(found[place], wanted[place]) for place in self.outputs]
        errors[""] = torch.stack(ends).mean() if ends else next(iter(errors.values())) * 0
        return errors

    @torch.no_grad()
    def errors(
        self, chunks: Sequence[Sequence[Tensor]], leaves: Mapping[int, Tensor] | None = None
    ) -> dict[str, float]:
        """Mean errors over some chunks, named as those of `compared`."""
        each = [self.compared(chunk, leaves or {}) for chunk in chunks]
        return {name: sum(float(e[name]) for e in each) / len(each) for name in each[0]}


def _many(steps: int, size: int) -> bool:
    """Whether batch norms may look at batches: these are large, and there is time to get used to it."""
    return steps >= _LONG and size >= _LARGE


def _total(errors: Mapping[str, Any]) -> Any:
    """What is to fall, in numbers or tensors: the error of the outputs and the mean over the blocks."""
    inside = [value for name, value in errors.items() if name]
    return errors[""] + sum(inside) / max(1, len(inside))


def centred(y: Tensor) -> Tensor:
    """Scores of classes (n, k), less their mean over the classes; other outputs as they are.

    Example:
        >>> centred(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.,  1.]])
    """
    return y - y.mean(1, keepdim=True) if y.dim() == 2 and y.shape[1] > 1 else y


def _scored(found: Tensor, wanted: Tensor) -> Tensor:
    return _relative(centred(found), centred(wanted))


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    spread = (wanted - wanted.mean(0)).square().sum()
    return (found - wanted).square().sum() / spread.clamp_min(1e-12)


def _leaves(net: ExportedNetwork) -> dict[int, Tensor]:
    """Copies of all parameters of a network, by node; a parameter that is read in two places is one."""
    named = net.model.named_parameters(remove_duplicate=False)
    names = {name for name, p in named if p.is_floating_point()}
    shared: dict[int, Tensor] = {}
    found = {}
    for place, name in net.state.items():
        value = net.weights[place]
        if name in names:
            leaf = shared.setdefault(value.data_ptr(), value.detach().clone().requires_grad_())
            found[place] = leaf
    return found


def _unit(leaf: Tensor, axis: int) -> Tensor:
    """What a step of size 1 moves: a filter by its root mean square, a vector by that of all its entries.

    Filters into which batch norms were folded differ in size by orders of magnitude. They lie along `axis`.
    """
    whole = leaf.detach().square().mean().sqrt().clamp_min(1e-3)
    if leaf.dim() < 2:
        return whole
    axes = tuple(i for i in range(leaf.dim()) if i != axis)
    return torch.maximum(leaf.detach().square().mean(axes, keepdim=True).sqrt(), 1e-2 * whole)


def _axis(net: ExportedNetwork, place: int) -> int:
    """Along which axis of a weight its filters lie."""
    form = linear_map(net.model.get_submodule(net.state[place].rpartition(".")[0]))
    return 1 if form is not None and form.kind == "transposed" and form.groups == 1 else 0


def _train_(
    aims: _Aims,
    norms: Batchwise,
    leaves: Mapping[int, Tensor],
    samples: Sequence[Tensor],
    epochs: int,
    learning_rate: float,
    batch: int,
    augment: Augment | None,
    seed: int,
    progress: Progress | None,
) -> None:
    places = {id(leaf): place for place, leaf in leaves.items()}
    unique = [leaves[place] for place in places.values()]
    units = [_unit(leaves[place], _axis(aims.small.net, place)) for place in places.values()]
    moves = [torch.zeros_like(leaf) for leaf in unique]
    optimizer = torch.optim.Adam(moves, lr=learning_rate, betas=(0.9, 0.99))
    each = len(samples[0]) // batch
    steps = epochs * each

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / _WARM) * 0.5 * (1 + math.cos(math.pi * step / steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        order = torch.randperm(len(samples[0]), generator=generator)[: each * batch].to(samples[0].device)
        for step, chosen in enumerate(order.view(each, batch), epoch * each):
            settled = step >= _SETTLED * steps
            first, *rest = (x[chosen] for x in samples)
            first = first if augment is None else laid_out_as(augment(first, generator), first)
            with torch.enable_grad():
                given = {**leaves, **norms.running} if settled else leaves
                loss = _total(aims.compared([first, *rest], given, None if settled else norms.instead))
                grads = torch.autograd.grad(loss, unique, allow_unused=True)
            for move, unit, grad in zip(moves, units, grads, strict=True):
                move.grad = None if grad is None else grad * unit
                move.zero_()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                for leaf, unit, move in zip(unique, units, moves, strict=True):
                    leaf.add_(unit * move)
        if progress is not None:
            progress("reconstruct", epoch + 1, epochs)
