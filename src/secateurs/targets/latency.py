"""A plan for a target in measured latency: candidates are made and timed against the original."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import nn

from secateurs.contracts import Example, IntArray
from secateurs.errors import InputError, RunError, TargetError
from secateurs.meters.latency import compare_latency
from secateurs.meters.timing import Clocks
from secateurs.running.copies import copy_model
from secateurs.targets.base import Attempt, check_stays

Measure: TypeAlias = Callable[[nn.Module], float]
"""From a network to the seconds it takes, on whatever device the user has."""

LatencyTarget: TypeAlias = float | tuple[float, Measure]

_ROUNDS = 8
# The repair may add biases, and a later measurement differs by a few hundredths: candidates must do better by this.
_MARGIN = 0.03
_ATTEMPTS = 3


class UnmeasurableError(RunError):
    """The machine is too busy for its clock to say anything of a network."""


@dataclass(frozen=True)
class Compared:
    """Seconds that the original and a smaller network take, and how they were measured."""

    whole: float
    small: float
    how: str

    @property
    def share(self) -> float:
        """What stays of the original's time."""
        return self.small / self.whole

    def with_(self, other: Compared) -> Compared:
        """The faster time of each network in two comparisons: other programs only ever add to a time."""
        return Compared(min(self.whole, other.whole), min(self.small, other.small), self.how)

    def __str__(self) -> str:
        return f"{1000 * self.small:.3g} of {1000 * self.whole:.3g} ms, {self.share:.3f} ({self.how})"


def parted(latency: LatencyTarget | None) -> tuple[float | None, Measure | None]:
    """The share of a latency target, and the user's own measurement where there is one.

    Raises:
        InputError: It is neither a number nor a pair of a number and a function.

    Example:
        >>> parted(0.5), parted((0.5, len))
        ((0.5, None), (0.5, <built-in function len>))
    """
    if isinstance(latency, (tuple, list)):
        if (
            len(latency) == 2
            and isinstance(latency[0], (int, float))
            and not isinstance(latency[0], bool)
            and callable(latency[1])
        ):
            return float(latency[0]), latency[1]
        raise InputError(
            "latency is a sequence, but not a share and a function: give (0.6, measure), where measure(module) "
            "returns seconds."
        )
    return latency, None


@dataclass(frozen=True)
class Latency:
    """A target in measured latency: share of the time at batch 1 that stays, in (0, 1].

    Each candidate runs in turns with the original and the fastest runs are compared, with PyTorch's present
    number of threads or, where those are held up, with one; candidates must be faster than asked by 3 %, as what
    the repair adds comes later. Latency need not fall with every channel, so among those timed the one that
    keeps most of those fast enough is taken. With `measure`, the plan depends on nothing but what it returns.

    Attributes:
        value: The share.
        measure: From a network to the seconds it takes, instead of this machine's clock.
        clocks: Where times are read; the machine's own by default.

    Raises:
        InputError: The share is no number in (0, 1].

    Example:
        >>> Latency(0.6).name
        'latency'
    """

    value: float
    measure: Measure | None = None
    clocks: Clocks | None = None
    name: str = field(default="latency", init=False)

    def __post_init__(self) -> None:
        check_stays(self.name, self.value)

    def counts(self, attempt: Attempt) -> IntArray:
        """The largest network, to one part in 256 of the way, that is fast enough.

        Raises:
            InputError: `measure` returns no positive number.
            TargetError: No candidate was fast enough; says the best share measured.
            RunError: The machine is too busy to tell.

        Cost:
            10 candidates, each 20 runs of itself and of the original with each number of threads, 6 s at most.
        """
        schedule = attempt.schedule()
        if self.value == 1:
            return schedule.counts(0)
        whole = attempt.ranking.graph.original
        limit = self.value if self.measure is not None else (1 - _MARGIN) * self.value

        def search(compare: Callable[[nn.Module], Compared]) -> IntArray:
            steps = _largest(
                lambda steps: compare(attempt.candidate(schedule.counts(steps))),
                len(schedule.sequence),
                limit,
                again=self.measure is None,
            )
            return schedule.counts(steps)

        if self.measure is not None:
            measure, seconds = self.measure, _seconds(self.measure, whole)
            return search(lambda small: Compared(seconds, _seconds(measure, small), "as `measure` says"))
        try:
            return search(lambda small: by_the_clock(whole, small, attempt.example, None, self.clocks))
        except UnmeasurableError:
            return search(lambda small: by_the_clock(whole, small, attempt.example, 1, self.clocks))

    def remarks(self, attempt: Attempt, small: nn.Module) -> tuple[str, ...]:
        """The latency of the finished network beside the original's; see `check_latency`."""
        if self.value == 1:
            return ()
        whole = attempt.ranking.graph.original
        found = check_latency(
            whole, small, self.value, attempt.example, measure=self.measure, clocks=self.clocks
        )
        return (found,)


def check_latency(
    whole: nn.Module,
    small: nn.Module,
    latency: float,
    example: Example | None,
    *,
    measure: Measure | None = None,
    clocks: Clocks | None = None,
) -> str:
    """Compare the finished network with the original once more, and say what came of it.

    Raises:
        TargetError: It is not fast enough, by the fastest runs of three comparisons.
        RunError: The machine is too busy to tell.
    """
    if measure is not None:
        found = Compared(_seconds(measure, whole), _seconds(measure, small), "as `measure` says")
    else:
        found = _either(whole, small, example, clocks)
        for _ in range(_ATTEMPTS - 1):
            if found.share > latency:
                found = found.with_(_either(whole, small, example, clocks))
    if found.share > latency * (1 + 1e-9):
        raise TargetError(
            f"latency {latency:g} was not met: the finished network takes {found}. Nothing was written; give a smaller "
            "target, or try again while the machine does nothing else."
        )
    return f"Latency: {found}."


def by_the_clock(
    whole: nn.Module, small: nn.Module, example: Example | None, threads: int | None, clocks: Clocks | None
) -> Compared:
    """The fastest runs of two networks that take turns.

    Raises:
        UnmeasurableError: The machine is too busy to tell.
    """
    pair = compare_latency(
        [whole, small], example, runs=20, warmup=3, threads=threads, seconds=6.0, clocks=clocks
    )
    before, after = (one.best_ms for one in pair)
    if before is None or after is None:
        reason = next(one.reason for one in pair if one.reason)
        raise UnmeasurableError(
            f"latency cannot be measured now: {reason}. Try again while the machine does nothing else, or give "
            "(share, measure) with a measurement of your own."
        )
    used = pair[0].threads
    how = f"fastest runs with {used} thread{'' if used == 1 else 's'} on {pair[0].device}"
    return Compared(before / 1000, after / 1000, how)


def _either(whole: nn.Module, small: nn.Module, example: Example | None, clocks: Clocks | None) -> Compared:
    try:
        return by_the_clock(whole, small, example, None, clocks)
    except UnmeasurableError:
        return by_the_clock(whole, small, example, 1, clocks)


def _seconds(measure: Measure, model: nn.Module) -> float:
    """What the user's own measurement says of a network; it may move its copy to a device, or compile it."""
    found: Any = measure(copy_model(model))
    try:
        seconds = float(found)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"latency: measure(module) returned {found!r}; it has to return seconds, above 0.")
    return seconds


def _largest(compare: Callable[[int], Compared], length: int, limit: float, *, again: bool) -> int:
    """The fewest removals found by halving after which the share is within the limit, measured `again` if asked.

    Raises:
        TargetError: No candidate was fast enough.
    """
    found = {length: compare(length)}
    low, high = 0, length
    for _ in range(_ROUNDS):
        if high - low <= max(1, length // 256) or found[length].share > limit:
            break
        middle = (low + high) // 2
        found[middle] = compare(middle)
        low, high = (low, middle) if found[middle].share <= limit else (middle, high)
    for steps in sorted(steps for steps, one in found.items() if one.share <= limit):
        if again:
            found[steps] = found[steps].with_(compare(steps))
        if found[steps].share <= limit:
            return steps
    best = min(found.values(), key=lambda one: one.share)
    raise TargetError(
        f"latency: at most {limit:.3g} of the original's time was asked for, and the fastest network measured took "
        f"{best}. Give a larger target."
    )
