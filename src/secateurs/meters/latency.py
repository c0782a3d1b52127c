"""How long one sample takes: the fastest of many runs where that can be trusted, with the conditions stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from secateurs.contracts import Example
from secateurs.errors import InputError
from secateurs.meters.timing import Clocks, Runs, timed_in_turns
from secateurs.running.eval_mode import device_of
from secateurs.running.examples import first_sample, inputs_of

SLOWER = 1.5
"""Several threads may take so much longer than one; beyond it, other programs held some of them up."""


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass with a batch of one sample, in milliseconds.

    `best_ms` is the fastest run, as whatever else a machine does only ever adds to a time, and `spread_ms` the
    range of the three fastest. Both are None where the time could not be measured, and `reason` says why.
    `one_thread_ms` is the same for one thread (None where it could not be measured). `median_ms`, `p10_ms`
    and `p90_ms` are percentiles of all `runs` with `threads` threads, and tell how busy the machine was; the
    `warmup` runs before them are not counted.
    """

    best_ms: float | None
    spread_ms: float | None
    one_thread_ms: float | None
    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int
    warmup: int
    threads: int
    device: str
    reason: str | None = None

    @property
    def measurable(self) -> bool:
        """Whether there is a time."""
        return self.best_ms is not None

    def __str__(self) -> str:
        how = f"at batch 1, {self.threads} thread{'' if self.threads == 1 else 's'}, {self.device}"
        one = (
            "" if self.one_thread_ms is None or self.threads == 1 else f"; {self.one_thread_ms:.3g} ms on one"
        )
        if self.best_ms is None:
            return f"not measurable now {how}: {self.reason}{one}"
        return (
            f"{self.best_ms:.3g} ms {how}: fastest of {self.runs} runs after {self.warmup} of warm-up, "
            f"median {self.median_ms:.3g}{one}"
        )


def measure_latency(
    model: nn.Module,
    example: Example,
    *,
    runs: int = 50,
    warmup: int = 10,
    threads: int | None = None,
    seconds: float = 10.0,
    clocks: Clocks | None = None,
) -> Latency:
    """Time a network at batch 1, where it lies, in evaluation mode and without gradients.

    Args:
        model: Any network; left as it was.
        example: An input as the model takes it, batch axis first; its first sample is used.
        runs: Timed passes, at least; more follow while the fastest do not agree or had to wait.
        warmup: Passes before them that are not timed.
        threads: Threads of the CPU; None for PyTorch's present number, which is restored afterwards, and then
            for one as well.
        seconds: No further passes are begun after this time, though at least five are timed.
        clocks: Where times are read; the machine's own by default.

    Returns:
        The fastest run, or None with the reason where that is not the time of the network: see `Runs.trouble`.

    Raises:
        InputError: a number is below 1, or the network cannot run on the example.

    Example:
        >>> measured = measure_latency(nn.Linear(4, 4), torch.zeros(1, 4), runs=7, warmup=2)
        >>> measured.runs >= 5, measured.median_ms > 0
        (True, True)
    """
    return compare_latency(
        [model], example, runs=runs, warmup=warmup, threads=threads, seconds=seconds, clocks=clocks
    )[0]


def compare_latency(
    models: Sequence[nn.Module],
    example: Example | None,
    *,
    runs: int = 50,
    warmup: int = 10,
    threads: int | None = None,
    seconds: float = 20.0,
    clocks: Clocks | None = None,
) -> tuple[Latency, ...]:
    """Time several networks on one input in turns, so that whatever else the machine does hits all alike.

    Each round runs every network once, beginning with another one each time. Arguments and errors are those
    of `measure_latency`; `seconds` is for all networks together.

    Example:
        >>> small, large = compare_latency([nn.Linear(4, 4), nn.Linear(4, 8)], torch.zeros(1, 4), runs=5)
        >>> small.runs == large.runs >= 5
        True
    """
    for name, number in (
        ("models", len(models)),
        ("runs", runs),
        ("threads", 1 if threads is None else threads),
    ):
        if number < 1:
            raise InputError(f"{name} must be at least 1, got {number}.")
    if warmup < 0:
        raise InputError(f"warmup must be at least 0, got {warmup}.")
    inputs = [_on_device_of(model, first_sample(inputs_of(example))) for model in models]
    alone = threads is None and torch.get_num_threads() > 1
    clocks = clocks or Clocks()
    several, warmed, used = timed_in_turns(
        models,
        inputs,
        runs=runs,
        warmup=warmup,
        threads=threads,
        seconds=seconds / 2 if alone else seconds,
        clocks=clocks,
    )
    single = several
    if alone:
        single, _, _ = timed_in_turns(
            models, inputs, runs=runs, warmup=min(warmup, 3), threads=1, seconds=seconds / 2, clocks=clocks
        )
    return tuple(
        _summary(own, one if used == 1 or alone else None, warmed, used, device_of(model))
        for own, one, model in zip(several, single, models, strict=True)
    )


def _on_device_of(model: nn.Module, inputs: Any) -> Any:
    device = device_of(model)
    return tree_map_only(Tensor, lambda x: x.to(device), inputs)


def _summary(own: Runs, one: Runs | None, warmup: int, threads: int, device: torch.device) -> Latency:
    p10, median, p90 = (float(p) for p in np.percentile(own.clock, [10, 50, 90]))
    times = [own.clock[i] for i in own.best]
    alone = None if one is None or one.trouble else min(one.clock)
    reason = own.trouble
    if reason is None and threads > 1 and own.checked and alone is not None and times[0] > SLOWER * alone:
        reason = f"{threads} threads took {times[0]:.3g} ms and one {alone:.3g}: other programs held them up"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Latency(
        best_ms=None if reason else times[0],
        spread_ms=None if reason else times[-1] - times[0],
        one_thread_ms=alone,
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        runs=len(own.clock),
        warmup=warmup,
        threads=threads,
        device=name,
        reason=reason,
    )
