"""A plan for an accuracy floor: candidates are made, repaired and scored on samples held out of the training data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from secateurs.allocate.sequence import Allocation
from secateurs.contracts import Loader, Ranking
from secateurs.data.batches import batches
from secateurs.errors import InputError, TargetError
from secateurs.modes import device_of, evaluation
from secateurs.planning import plan_from_counts, removals
from secateurs.surgery import Plan

_ROUNDS = 8


def plan_for_accuracy(
    ranking: Ranking,
    drop: float,
    data: Loader | None,
    make: Callable[[Plan], nn.Module],
    *,
    allocate: Allocation | None = None,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
    limit: int = 2048,
) -> Plan:
    """The smallest network found by halving whose accuracy on the samples falls by at most `drop` points.

    Accuracy is agreement with the labels; without labels, with the original's own decisions. Training samples
    that a network has learnt by heart flatter the original, so the drop on new data can differ: hold some out.

    Args:
        ranking: From `rank`.
        drop: Largest loss of accuracy, in points (hundredths).
        data: Samples to score on, best held out of the training data.
        make: From a plan to the smaller network as it will be, repaired.
        allocate: Which group gives the next unit; `Uniform()` by default.
        round_to: Groups keep a multiple of this many units.
        layers: Exceptions by name, as in `plan`.
        limit: At most so many samples.

    Returns:
        The plan, whose target is the drop asked for.

    Raises:
        InputError: No data, or outputs that are no classes.
        TargetError: Not even the smallest step keeps the floor.

    Cost:
        10 candidates, each made, repaired and run on the samples.
    """
    if data is None:
        raise InputError("data: an accuracy floor is measured on data and got none; give some training data.")
    read = [(x, y) for x, y in batches(data, 64, limit=limit)]
    model: nn.Module = ranking.graph.model
    decided = [_decisions(model, x) for x, _ in read]
    labels = [d if y is None else y.to(d.device) for d, (_, y) in zip(decided, read, strict=True)]
    if any(a.shape != b.shape for a, b in zip(labels, decided, strict=True)):
        raise InputError("data: labels and the network's decisions differ in shape; give one class a sample.")
    best = _agreement(decided, labels)
    queue = removals(ranking, allocate, round_to, layers)

    def lost(steps: int) -> float:
        small = make(plan_from_counts(ranking, queue.counts(steps), {}))
        return 100 * (best - _agreement([_decisions(small, x) for x, _ in read], labels))

    if layers and lost(0) > drop:
        raise TargetError(
            f"accuracy_drop {drop:g} cannot be kept: the shares that layers gives alone cost more."
        )
    low, high = 0, len(queue.sequence) + 1
    if _everything(lost, high - 1) <= drop:
        low = high - 1
    for _ in range(_ROUNDS):
        if high - low <= max(1, len(queue.sequence) // 256):
            break
        middle = (low + high) // 2
        low, high = (middle, high) if lost(middle) <= drop else (low, middle)
    if low == 0 and not layers:
        raise TargetError(
            f"accuracy_drop {drop:g} cannot be kept: the smallest cut tried costs more. Give a larger drop, more "
            "data or a stronger repair."
        )
    return plan_from_counts(ranking, queue.counts(low), {"accuracy_drop": drop})


def _everything(lost: Callable[[int], float], steps: int) -> float:
    """Loss with all removals at once; infinite where so little is left that no repair follows it."""
    try:
        return lost(steps)
    except InputError:
        return math.inf


@torch.no_grad()
def _decisions(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with evaluation(model):
        out = model(*(x.to(device_of(model)) for x in inputs))
    if not isinstance(out, Tensor) or out.dim() < 2:
        raise InputError(
            "accuracy_drop: the network's output is no tensor of class scores; use another target."
        )
    return out.argmax(dim=1)


def _agreement(decided: list[Tensor], labels: list[Tensor]) -> float:
    same = sum(int((a == b).sum()) for a, b in zip(decided, labels, strict=True))
    return same / sum(b.numel() for b in labels)
