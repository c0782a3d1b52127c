"""A plan for an accuracy floor: candidates are made, repaired and scored on samples held out of the training data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.checks import check_number
from secateurs.contracts import FloatArray, IntArray, Loader
from secateurs.data.batches import Batch, batches
from secateurs.data.calibration import kept_apart
from secateurs.errors import InputError, TargetError
from secateurs.meters.paired import Drop, Z, samples_for, upper_drop
from secateurs.meters.scoring import Metric, answer_of, jackknife_error, left_out, right
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.targets.base import Attempt

_ROUNDS = 8
# The original gets nearly everything right on samples that it was trained on.
_BY_HEART = 0.995


@dataclass(frozen=True, eq=False)
class Judge:
    """The held-out samples with what the original makes of them; says what another network loses.

    `before` holds a score for each sample, or, of a user's own metric, its values with a part left out.
    """

    read: Sequence[Batch]
    labels: Sequence[Tensor]
    labelled: bool
    value: float
    before: FloatArray
    metric: Metric | None = None

    @classmethod
    def of(cls, model: nn.Module, read: Sequence[Batch], metric: Metric | None = None) -> Judge:
        """The judge of networks that were made from a model; without labels, its decisions are the labels.

        Raises:
            InputError: Outputs that are no classes, labels of another shape, a metric without labels.
        """
        outputs = [_scores(model, x) for x, _ in read]
        labelled = all(y is not None for _, y in read)
        if metric is not None and not labelled:
            raise InputError(
                "data: a metric compares outputs with labels, and the data have none; give some."
            )
        labels = [out.argmax(dim=1) if y is None else y for out, (_, y) in zip(outputs, read, strict=True)]
        return cls(read, labels, labelled, *_judged(outputs, labels, metric), metric)

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(len(y) for y in self.labels)

    def drop(self, small: nn.Module) -> Drop:
        """What a smaller network loses: by `upper_drop`, or by the jackknife for a user's own metric."""
        outputs = [_scores(small, x) for x, _ in self.read]
        value, after = _judged(outputs, self.labels, self.metric)
        measured = self.value - value
        lost = self.before - after
        if self.metric is not None:
            bound = measured + Z * jackknife_error(lost)
        else:
            bound = upper_drop(
                float(np.maximum(lost, 0).sum()), float(np.maximum(-lost, 0).sum()), self.samples
            )
        return Drop(100 * measured, 100 * bound, self.samples)

    def tells(self, drop: float) -> bool:
        """Whether there are samples enough that a network which changes nothing keeps within a drop of points."""
        return self.metric is not None or 100 * upper_drop(0, 0, self.samples) <= drop

    def remarks(self, drop: float, found: Drop) -> tuple[str, ...]:
        """The drop of the finished network, and what may be wrong with that number."""
        remarks = [f"Accuracy: {found}."]
        enough = math.inf if drop == 0 else samples_for(drop)
        few = f"Warning: {self.samples:,} held-out samples"
        remedy = f"with {enough:,} {{}}: give more data, a larger calibrate or a holdout"
        if not self.tells(drop):
            would = remedy.format("it can be told") if drop else "no number of them can: give a larger drop"
            remarks.append(
                f"{few} cannot tell a drop of {drop:g} points from noise, so the measured one decided; {would}."
            )
        elif self.samples < enough:
            further = remedy.format("it can go further")
            remarks.append(f"{few} are few for a drop of {drop:g} points, so the cut is cautious; {further}.")
        if self.metric is None and self.labelled and self.value >= _BY_HEART:
            remarks.append(
                f"The original gets {100 * self.value:.1f} % of the held-out samples right: if it was trained on them, "
                "new samples may lose more than this; prune() takes others as `holdout`."
            )
        return tuple(remarks)


@dataclass(frozen=True)
class AccuracyDrop:
    """A target in accuracy: the smallest network that loses at most so many points, with 95 % confidence.

    Where the samples are so few that even an unchanged network would fail, the measured loss decides instead.
    Training samples that a network has learnt by heart flatter it, so the drop on new data can differ.

    Attributes:
        value: Largest loss of accuracy, in points (hundredths), from 0 to 100.

    Raises:
        InputError: It is no number from 0 to 100.

    Example:
        >>> AccuracyDrop(1.0).name
        'accuracy_drop'
    """

    value: float
    name: str = field(default="accuracy_drop", init=False)

    def __post_init__(self) -> None:
        check_number(self.name, self.value)
        if not 0 <= self.value < 100:
            raise InputError(
                f"{self.name} is {self.value:g}; give points of accuracy (hundredths) from 0 to 100."
            )

    def counts(self, attempt: Attempt) -> IntArray:
        """The counts found by halving; every candidate is finished, repair included, and scored on the holdout.

        Raises:
            InputError: There are no samples to measure accuracy on.
            TargetError: Not even the smallest step keeps the floor.

        Cost:
            10 candidates, each made, repaired and run on the samples.
        """
        judge, schedule = self._judge(attempt), attempt.schedule()
        problems: list[InputError] = []

        def lost(steps: int) -> float:
            try:
                small = attempt.finished(schedule.counts(steps))
            except InputError as problem:  # so little is left of some group that no repair follows it
                problems.append(problem)
                return math.inf
            found = judge.drop(small)
            return found.bound if judge.tells(self.value) else found.measured

        steps = _most(lost, self.value, len(schedule.sequence), exceptions=bool(attempt.layers))
        if steps == 0 and not attempt.layers:
            if problems and math.isinf(lost(1)):  # not the size of the network is at fault
                raise problems[-1]
            raise TargetError(
                f"accuracy_drop {self.value:g} cannot be kept with 95 % confidence on {judge.samples:,} held-out "
                "samples: the smallest cut tried may cost more. Give a larger drop, more data or a stronger repair."
            )
        return schedule.counts(steps)

    def remarks(self, attempt: Attempt, small: nn.Module) -> tuple[str, ...]:
        """The drop of the finished network, and what may be wrong with that number."""
        judge = self._judge(attempt)
        return judge.remarks(self.value, judge.drop(small))

    def _judge(self, attempt: Attempt) -> Judge:
        if not attempt.holdout:
            raise InputError(
                "data: an accuracy floor is measured on data and got none; give some training data, best with labels."
            )
        return Judge.of(attempt.ranking.graph.original, attempt.holdout, attempt.metric)


def _most(lost: Callable[[int], float], drop: float, length: int, *, exceptions: bool) -> int:
    """The most removals found by halving that lose at most `drop`; 0 where none does.

    Raises:
        TargetError: With exceptions, which are removed before the first step, and already cost more.
    """
    if exceptions and lost(0) > drop:
        raise TargetError(
            f"accuracy_drop {drop:g} cannot be kept: the shares that layers gives alone cost more."
        )
    low, high = 0, length + 1
    if lost(high - 1) <= drop:
        low = high - 1
    for _ in range(_ROUNDS):
        if high - low <= max(1, length // 256):
            break
        middle = (low + high) // 2
        low, high = (middle, high) if lost(middle) <= drop else (low, middle)
    return low


def held_out(
    data: Loader | None, drop: float, limit: int, holdout: Loader | None = None
) -> tuple[Loader, Sequence[Batch]]:
    """Samples to calibrate on, and samples to score candidates on.

    So many are held out that the drop can be told from noise (`samples_for`), but at least a fifth of the data
    and at most half; they are spread over each batch, as data may be sorted by class. With a `holdout` of the
    user's own, all data are for calibration.

    Raises:
        InputError: No data, or fewer than two samples.
    """
    wanted = samples_for(max(drop, 0.1))
    if holdout is not None:
        return data, list(batches(holdout, 64, limit=wanted))
    if data is None:
        raise InputError(
            "data: an accuracy floor is measured on data and got none; give some training data, best with labels."
        )
    read = list(batches(data, 32, limit=limit))
    total = sum(len(x[0]) for x, _ in read)
    if total < 2:
        raise InputError(
            "data: an accuracy floor needs a part of its own to be measured on; give more samples."
        )
    aside = max(1, min(max(wanted, total // 5), total // 2))
    chosen = kept_apart(total, aside)
    flags = [chosen[end - len(x[0]) : end] for (x, _), end in zip(read, _ends(read), strict=True)]
    return _where(read, [~flag for flag in flags]), _where(read, flags)


def _ends(read: Sequence[Batch]) -> list[int]:
    return list(itertools.accumulate(len(x[0]) for x, _ in read))


def _where(read: Sequence[Batch], flags: Sequence[Tensor]) -> list[Batch]:
    """The marked samples of every batch that has any."""
    return [
        (tuple(x[flag] for x in inputs), None if labels is None else labels[flag])
        for (inputs, labels), flag in zip(read, flags, strict=True)
        if bool(flag.any())
    ]


@torch.no_grad()
def _scores(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with evaluation(model):
        out: Any = answer_of(model(*(x.to(device_of(model), copy=True) for x in inputs)))
    if not isinstance(out, Tensor) or out.dim() < 2:
        raise InputError(
            "accuracy_drop: the network's output is no tensor of class scores; use another target."
        )
    return out.cpu()


def _judged(
    outputs: Sequence[Tensor], labels: Sequence[Tensor], metric: Metric | None
) -> tuple[float, FloatArray]:
    if metric is not None:
        return left_out(metric, torch.cat(list(outputs)), torch.cat([y.cpu() for y in labels]))
    parts = [right(out, y.cpu()).numpy() for out, y in zip(outputs, labels, strict=True)]
    scores = np.concatenate(parts)
    return float(scores.mean()), scores
