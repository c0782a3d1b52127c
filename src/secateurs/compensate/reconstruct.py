"""A few label-free gradient steps, block by block, for those who can spend a minute more."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from secateurs.compensate.sequential import noticed, prepared
from secateurs.compensate.walk import Repair, Stop, stops, unsupported
from secateurs.contracts import Loader, Progress
from secateurs.errors import InputError
from secateurs.surgery.links import weights_of
from secateurs.surgery.plan import Plan


def reconstruct_(
    small: nn.Module,
    model: nn.Module,
    plan: Plan,
    data: Loader,
    *,
    epochs: int = 8,
    learning_rate: float = 0.01,
    ridge: float = 1e-5,
    limit: int = 3000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Repair:
    r"""Train each block of a pruned network to give what the original's gives, in place, without labels.

    From the input to the output, block after block: Adam on $\lVert a(z) - a(z_0) \rVert^2$ with z the sum at the
    end of the block in the pruned network (fed by the blocks before it, already reconstructed), $z_0$ the
    original's, a the activation after it. A tensor's step is `learning_rate` times the root mean square of its
    entries, and falls to 0 along a cosine. To be run after `least_squares_`, which brings it near. A block whose
    error has not fallen by the end keeps what it had.

    Args:
        small: The repaired network; filled in place, left in evaluation mode.
        model: The original; untouched.
        plan: What was removed; of several steps, the last.
        data: Unlabelled samples.
        epochs: Passes over the data for every block.
        learning_rate: Relative size of the first steps.
        ridge: As for `least_squares_`; unused by the steps themselves.
        limit: At most so many samples.
        seed: Of the order of the samples.
        progress: Told of every block.

    Returns:
        The squared error of each block after over the one before, and remarks.

    Raises:
        InputError: No data, no epochs, or a network that cannot be followed operation by operation.

    Cost:
        3 `epochs` passes through every block over the data, and two forward passes of both networks.
    """
    if epochs < 1 or not learning_rate > 0:
        raise InputError(f"epochs is {epochs} and learning_rate {learning_rate:g}; both must be positive.")
    tandem = prepared(small, model, data, limit)
    found = stops(tandem, plan, ridge=ridge, seed=seed)
    seen = noticed(tandem)
    ratio: dict[str, float] = {}
    for number, stop in enumerate(found):
        tandem.advance(stop.link.first())
        ratio[stop.link.layer.name] = _fit_(stop, epochs, learning_rate)
        if progress is not None:
            progress("reconstruct", number + 1, len(found))
    remarks = (*seen, *unsupported(found, plan, tandem))
    return Repair("reconstruct", ratio, tandem.samples, remarks)


def _fit_(stop: Stop, epochs: int, learning_rate: float) -> float:
    """Adam on one block; returns the error after over the one before."""
    net = stop.tandem.small
    places = [
        p for layer in (*stop.link.makers, stop.link.layer) for p in weights_of(net, layer) if p is not None
    ]
    leaves = {p: net.weights[p].detach().clone().requires_grad_() for p in places}
    groups = [
        {"params": [leaf], "lr": learning_rate * max(float(leaf.detach().square().mean().sqrt()), 1e-4)}
        for leaf in leaves.values()
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    count = len(stop.tandem.chunks)
    steps = epochs * count
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: 0.5 * (1 + math.cos(math.pi * s / steps))
    )
    before = _error(stop, {})
    for _ in range(epochs):
        for number in torch.randperm(count, generator=stop.generator).tolist():
            with torch.enable_grad():
                loss = (_output(stop, number, leaves) - stop.wanted(number, stop.link.end)).square().mean()
                grads = torch.autograd.grad(loss, list(leaves.values()))
            for leaf, grad in zip(leaves.values(), grads, strict=True):
                leaf.grad = grad
            optimizer.step()
            schedule.step()
    fitted = {place: leaf.detach() for place, leaf in leaves.items()}
    after = _error(stop, fitted)
    if not after < before:
        return 1.0
    with torch.no_grad():
        for place, value in fitted.items():
            net.weights[place].copy_(value)
    return after / max(before, 1e-300)


def _output(stop: Stop, number: int, changed: dict[int, Tensor]) -> Tensor:
    output: Tensor = stop.tandem.small.pull(stop.link.end, {**stop.tandem.chunks[number][1], **changed})
    return output


@torch.no_grad()
def _error(stop: Stop, changed: dict[int, Tensor]) -> float:
    chunks = range(len(stop.tandem.chunks))
    return sum(
        float((_output(stop, i, changed) - stop.wanted(i, stop.link.end)).square().sum()) for i in chunks
    )
