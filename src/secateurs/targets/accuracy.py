"""A plan for an accuracy floor: candidates are made, repaired and scored on samples held out of the training data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from secateurs.checks import check_number
from secateurs.contracts import IntArray, Loader
from secateurs.data.batches import Batch, batches
from secateurs.data.calibration import kept_apart
from secateurs.errors import InputError, TargetError
from secateurs.meters.paired import samples_for
from secateurs.targets.base import Attempt

_ROUNDS = 8


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
        judge, schedule = attempt.judge, attempt.schedule()
        problems: list[InputError] = []

        def lost(steps: int) -> float:
            try:
                small = attempt.finished(schedule.counts(steps))
            except InputError as problem:  # so little is left of some group that no repair follows it
                problems.append(problem)
                return math.inf
            found = judge.drop(small)
            return found.bound if judge.tells(self.value) else found.measured

        steps = _most(lost, self.value, len(schedule.sequence), exceptions=bool(attempt.bounds.layers))
        if steps == 0 and not attempt.bounds.layers:
            if problems and math.isinf(lost(1)):  # not the size of the network is at fault
                raise problems[-1]
            raise TargetError(
                f"accuracy_drop {self.value:g} cannot be kept with 95 % confidence on {judge.samples:,} held-out "
                "samples: the smallest cut tried may cost more. Give a larger drop, more data or a stronger repair."
            )
        return schedule.counts(steps)

    def remarks(self, attempt: Attempt, small: nn.Module) -> tuple[str, ...]:
        """The drop of the finished network, and what may be wrong with that number."""
        judge = attempt.judge
        return judge.remarks(self.value, judge.drop(small))


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
