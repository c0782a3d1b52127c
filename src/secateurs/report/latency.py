"""How long one sample takes: the median of many runs, with its spread and the conditions stated."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from secateurs.errors import InputError
from secateurs.modes import device_of, evaluation, first_sample, inputs_of
from secateurs.surgery.calling import call


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass with a batch of one sample, in milliseconds.

    `p10_ms`, `p25_ms`, `p75_ms` and `p90_ms` are percentiles of the same `runs`; the `warmup` runs before
    them are not counted.
    """

    median_ms: float
    p10_ms: float
    p25_ms: float
    p75_ms: float
    p90_ms: float
    runs: int
    warmup: int
    threads: int
    device: str

    @property
    def spread_ms(self) -> float:
        """Range of the middle half of the runs."""
        return self.p75_ms - self.p25_ms

    def __str__(self) -> str:
        return (
            f"{self.median_ms:.3g} ms (middle half {self.p25_ms:.3g} to {self.p75_ms:.3g}) at batch 1, "
            f"{self.runs} runs after {self.warmup} of warm-up, {self.threads} threads, {self.device}"
        )


def measure_latency(
    model: nn.Module,
    example: Any,
    *,
    runs: int = 50,
    warmup: int = 10,
    threads: int | None = None,
    seconds: float = 10.0,
) -> Latency:
    """Time a network at batch 1, where it lies, in evaluation mode and without gradients.

    Args:
        model: Any network; left as it was.
        example: An input as the model takes it, batch axis first; its first sample is used.
        runs: Timed passes, at most.
        warmup: Passes before them that are not timed.
        threads: Threads of the CPU; None for PyTorch's present number, which is restored afterwards.
        seconds: No further passes are begun after this time, though at least five are timed.

    Returns:
        Median and percentiles; `runs` is the number really timed.

    Raises:
        InputError: a number is below 1, or the network cannot run on the example.

    Example:
        >>> measured = measure_latency(nn.Linear(4, 4), torch.zeros(1, 4), runs=7, warmup=2)
        >>> measured.runs, measured.median_ms > 0
        (7, True)
    """
    return compare_latency([model], example, runs=runs, warmup=warmup, threads=threads, seconds=seconds)[0]


def compare_latency(
    models: Sequence[nn.Module],
    example: Any,
    *,
    runs: int = 50,
    warmup: int = 10,
    threads: int | None = None,
    seconds: float = 20.0,
) -> tuple[Latency, ...]:
    """Time several networks on one input in turns, so that whatever else the machine does hits all alike.

    Each round runs every network once, beginning with another one each time. Arguments and errors are those
    of `measure_latency`; `seconds` is for all networks together.

    Example:
        >>> small, large = compare_latency([nn.Linear(4, 4), nn.Linear(4, 8)], torch.zeros(1, 4), runs=5)
        >>> small.runs == large.runs == 5
        True
    """
    for name, number in (("models", len(models)), ("runs", runs), ("threads", threads or 1)):
        if number < 1:
            raise InputError(f"{name} must be at least 1, got {number}.")
    if warmup < 0:
        raise InputError(f"warmup must be at least 0, got {warmup}.")
    inputs = [_on_device_of(model, first_sample(inputs_of(example))) for model in models]
    times: list[list[float]] = [[] for _ in models]
    with _threads(threads), torch.inference_mode():
        begin = time.perf_counter()
        warmed = 0
        while warmed < warmup and (warmed == 0 or time.perf_counter() - begin < seconds / 2):
            for k, model in enumerate(models):
                _timed(model, inputs[k])
            warmed += 1
        for turn in range(runs):
            if turn >= 5 and time.perf_counter() - begin > seconds:
                break
            for step in range(len(models)):
                k = (turn + step) % len(models)
                times[k].append(_timed(models[k], inputs[k]))
        used = torch.get_num_threads()
    return tuple(_summary(t, warmed, used, device_of(m)) for t, m in zip(times, models, strict=True))


def _timed(model: nn.Module, inputs: Any) -> float:
    """Milliseconds of one pass; the switch to evaluation mode is outside the measured time."""
    device = device_of(model)
    try:
        with evaluation(model):
            _wait(device)
            start = time.perf_counter()
            call(model, inputs)
            _wait(device)
            return (time.perf_counter() - start) * 1000
    except (RuntimeError, TypeError, ValueError) as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in tree_leaves(inputs) if isinstance(x, Tensor))
        raise InputError(
            f"The network {type(model).__name__} cannot run on one sample of the example (shapes {shapes}): "
            f"{error}"
        ) from error


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _on_device_of(model: nn.Module, inputs: Any) -> Any:
    device = device_of(model)
    return tree_map_only(Tensor, lambda x: x.to(device), inputs)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _summary(times: list[float], warmup: int, threads: int, device: torch.device) -> Latency:
    p10, p25, median, p75, p90 = (float(p) for p in np.percentile(times, [10, 25, 50, 75, 90]))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Latency(median, p10, p25, p75, p90, len(times), warmup, threads, name)
