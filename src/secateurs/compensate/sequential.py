"""The strongest repair without training: layer after layer, against the original's own outputs."""

from __future__ import annotations

import torch
from torch import nn

from secateurs.checks import check_effort
from secateurs.compensate.pace import Pace
from secateurs.compensate.refine import refine_
from secateurs.compensate.walk import Repaired, refit_, samples_of, stops, unsupported
from secateurs.contracts import Loader, Progress
from secateurs.effort import Effort
from secateurs.errors import InputError
from secateurs.network.blocks import running
from secateurs.network.exported import Exports, is_batch_norm
from secateurs.network.paired import PairedNetworks
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.statistics.units import disagreement
from secateurs.surgery.plan import Plan


def least_squares_(
    small: nn.Module,
    model: nn.Module,
    plan: Plan,
    data: Loader,
    *,
    effort: Effort = "default",
    rounds: int | None = None,
    ridge: float = 1e-5,
    limit: int = 3000,
    memory: float = 6.0,
    seed: int = 0,
    progress: Progress | None = None,
    exports: Exports | None = None,
) -> Repaired:
    r"""Refit a pruned network layer by layer to the original, from unlabelled data, in place.

    For each layer that lost inputs: $\min_{W,b} E\lVert y - W x - b \rVert^2$ with x what the pruned network feeds
    it and y what the original has there, corrected by the difference of the shortcuts. Then, `rounds` times, the
    layers that make x are refitted by one Gauss-Newton step (see `refine`), and W once more. Errors do not add
    up, as each layer sees those made before it. About a fifth of the samples chooses the pull toward the present
    weights and ends the Gauss-Newton steps; where there are fewer than two samples for every channel that the widest
    layer reads, no layer is fitted to that fifth, which else would be learnt by heart as the others are.

    Args:
        small: The network after removal; filled in place, left in evaluation mode as it is run in it.
        model: The original; untouched.
        plan: What was removed; of several steps, the last.
        data: Unlabelled samples, as for `observe`; a few thousand are best.
        effort: How much is looked at, "fast", "default" or "best"; see `Pace`.
        rounds: How often the layers before the removed channels are refitted; 0 for the plain refit; by the effort
            where it is not said.
        ridge: Pull of the refit toward the weights as they are, relative to the mean square of the inputs.
        limit: At most so many samples.
        memory: GiB for values kept of all samples in both networks; the first layers see fewer where that is little.
        seed: Of the output positions that the moments use.
        progress: Told of every layer.
        exports: Captures that are known already.

    Returns:
        The share of each refitted layer's output that could not be reproduced, and remarks.

    Raises:
        InputError: No data, or a network that cannot be followed operation by operation.

    Cost:
        About 3 + 2 `rounds` forward passes of both networks over the data, and O(d^3) for every layer of row
        length d; `memory`, and beside it the samples themselves and what a refinement computes on a few chunks.

    References:
        [he2017channel] Channel pruning for accelerating very deep neural networks, ICCV 2017 (sequential refit);
        [zhang2016accelerating] (asymmetric, ReLU-aware targets).
    """
    check_effort("effort", effort)
    pace = Pace.of(effort)
    rounds = pace.rounds if rounds is None else rounds
    if rounds < 0 or not memory > 0:
        raise InputError(f"rounds is {rounds} and memory {memory:g}; give rounds from 0 and GiB above 0.")
    small.eval()
    with evaluation(model), torch.no_grad():
        pair = PairedNetworks(
            model, small, samples_of(data, min(limit, pace.samples), device_of(model)), memory, exports
        )
    found = stops(pair, plan, ridge=ridge, seed=seed, effort=effort)
    left: dict[str, float] = {}
    warned = noticed(pair)
    remarks: list[str] = []
    for number, stop in enumerate(found):
        pair.advance(stop.block.first())
        again = rounds if stop.block.producers else 0
        fit = refit_(stop, last=not again)
        for left_over in reversed(range(again)):
            refine_(stop)
            fit = refit_(stop, rectify=True, last=not left_over)
        left[stop.block.layer.name] = fit.left
        remarks.extend(fit.remark(stop.block.layer.name))
        if progress is not None:
            progress("repair", number + 1, len(found))
    remarks = [*warned, *crowded(pair), *remarks, *unsupported(found, plan, pair)]
    return Repaired("least-squares", left, pair.samples, tuple(remarks))


def noticed(pair: PairedNetworks) -> tuple[str, ...]:
    """What there is to say about samples that are unlike those of the training."""
    values, net = pair.chunks[0][0], pair.full.net
    for i, node in enumerate(net.nodes):
        source = net.given(i, 0) if is_batch_norm(node) else None
        if source is not None:
            scale = running(net, i)
            x = pair.full.pull(source, values)
            flat = x.transpose(0, 1).flatten(1).double()
            return disagreement(flat.mean(1), flat.var(1, unbiased=False), *scale)
    return ()


def crowded(pair: PairedNetworks) -> tuple[str, ...]:
    """A word where the first layers, whose values are large, saw fewer samples than the last."""
    if pair.fewest == pair.given:
        return ()
    return (
        f"{pair.fewest} of {pair.given} samples were used for the first layers and {pair.samples} for the last: "
        f"what has to be kept of more would not fit in {pair.memory:g} GiB",
    )
