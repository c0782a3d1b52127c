"""The strongest repair without training: layer after layer, against the original's own outputs."""

from __future__ import annotations

import time

import torch
from torch import nn

from secateurs.compensate.refine import refine_
from secateurs.compensate.walk import Repair, refit_, samples_of, stops, unsupported
from secateurs.contracts import Loader, Progress
from secateurs.errors import InputError
from secateurs.surgery.plan import Plan
from secateurs.surgery.tandem import Tandem

_CHUNK = 100


def least_squares_(
    small: nn.Module,
    model: nn.Module,
    plan: Plan,
    data: Loader,
    *,
    rounds: int = 2,
    ridge: float = 1e-5,
    limit: int = 3000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Repair:
    r"""Refit a pruned network layer by layer to the original, from unlabelled data, in place.

    For each layer that lost inputs: $\min_{W,b} E\lVert y - W x - b \rVert^2$ with x what the pruned network feeds
    it and y what the original has there, corrected by the difference of the shortcuts. Then, `rounds` times, the
    layers that make x are refitted by one Gauss-Newton step (see `refine`), and W once more. Errors do not add
    up, as each layer sees those made before it.

    Args:
        small: The network after removal; filled in place, left in evaluation mode as it is run in it.
        model: The original; untouched.
        plan: What was removed; of several steps, the last.
        data: Unlabelled samples, as for `observe`; a few thousand are best.
        rounds: How often the layers before the removed channels are refitted; 0 for the plain refit.
        ridge: Pull of the refit toward the weights as they are, relative to the mean square of the inputs.
        limit: At most so many samples.
        seed: Of the output positions that the moments use.
        progress: Told of every layer.

    Returns:
        The share of each refitted layer's output that could not be reproduced, and remarks.

    Raises:
        InputError: No data, or a network that cannot be followed operation by operation.

    Cost:
        About 3 + 2 `rounds` forward passes of both networks over the data, and O(d^3) for every layer of row
        length d; memory for the values alive at one place, for all samples, in both networks.

    References:
        [he2017channel] Channel pruning for accelerating very deep neural networks, ICCV 2017 (sequential refit);
        [zhang2016accelerating] (asymmetric, ReLU-aware targets).
    """
    if rounds < 0:
        raise InputError(f"rounds is {rounds}; give a number from 0.")
    started = time.perf_counter()
    tandem = prepared(small, model, data, limit)
    found = stops(tandem, plan, ridge=ridge, seed=seed)
    left: dict[str, float] = {}
    for number, stop in enumerate(found):
        tandem.advance(stop.link.first())
        left[stop.link.layer.name] = refit_(stop)
        for _ in range(rounds if stop.link.makers else 0):
            refine_(stop)
            left[stop.link.layer.name] = refit_(stop, rectify=True)
        if progress is not None:
            progress("repair", number + 1, len(found))
    remarks = unsupported(found, plan, tandem)
    return Repair("least-squares", left, tandem.samples, (*remarks, f"{time.perf_counter() - started:.1f} s"))


def prepared(small: nn.Module, model: nn.Module, data: Loader, limit: int) -> Tandem:
    """Both networks captured on the calibration samples, in evaluation mode from here on."""
    device = next(model.parameters()).device
    small.eval()
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            return Tandem(model, small, samples_of(data, limit, _CHUNK, device))
    finally:
        model.train(mode)
