"""How many threads of the CPU the work of a command is worth."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from secateurs.running.eval_mode import device_of, evaluation
from secateurs.running.examples import call, repeated

GAIN = 0.2
"""Twice the threads have to save at least this share of the time."""
ROUNDS = 7
BATCH = 64
PASS = 0.05
"""Seconds that one timed pass takes about, and the batch is made so large as that, up to `BATCH`."""
LONGEST = 3.0
"""Seconds after which no further round is begun."""


@contextmanager
def worthwhile_threads(model: nn.Module, example: Any, asked: int | None = None) -> Iterator[int]:
    """Set PyTorch's threads to as many as the network's forward pass gains from, and back again afterwards.

    Twice as many are taken as long as they save the share `GAIN` of the median time. The median, not the
    minimum, decides: beside other processes threads wait for one another, and the minimum would not tell.

    Args:
        model: The network that the command works on.
        example: An input for it.
        asked: The number that the user wants; nothing is measured then, nor where OMP_NUM_THREADS is set, nor for a
            network on an accelerator.

    Yields:
        The number of threads.
    """
    before = torch.get_num_threads()
    try:
        if asked is not None:
            torch.set_num_threads(asked)
        elif before > 1 and "OMP_NUM_THREADS" not in os.environ and device_of(model).type == "cpu":
            torch.set_num_threads(_measured(model, example, before))
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _measured(model: nn.Module, example: Any, most: int) -> int:
    numbers = [n for n in (2**k for k in range(most.bit_length())) if n < most] + [most]
    with evaluation(model), torch.inference_mode():
        try:
            inputs = _batch(model, example)
        except Exception:
            return 1  # the run itself says what is wrong with the network or its input
        return fewest(numbers, lambda number: _seconds(model, inputs, number))


def fewest(numbers: list[int], seconds: Callable[[int], float]) -> int:
    """The number of threads from which on more would not save enough.

    Args:
        numbers: Numbers of threads, ascending.
        seconds: Measures one pass with so many.

    Example:
        >>> fewest([1, 2, 4], {1: 1.0, 2: 0.6, 4: 0.59}.__getitem__)
        2
    """
    best = numbers[0]
    for number in numbers[1:]:
        times: dict[int, list[float]] = {best: [], number: []}
        begin = time.monotonic()
        for turn in range(ROUNDS):
            if turn and time.monotonic() - begin > LONGEST:
                break
            for each in times:  # in turns, so that a machine that slows down slows both
                times[each].append(seconds(each))
        if statistics.median(times[number]) > (1 - GAIN) * statistics.median(times[best]):
            break
        best = number
    return best


def _batch(model: nn.Module, example: Any) -> Any:
    """The example, as often as a pass of about `PASS` seconds takes."""
    torch.set_num_threads(1)
    call(model, example)
    start = time.perf_counter()
    call(model, example)
    times = max(1, min(BATCH, round(PASS / max(time.perf_counter() - start, 1e-6))))
    return repeated(example, times)


def _seconds(model: nn.Module, inputs: Any, number: int) -> float:
    torch.set_num_threads(number)
    start = time.perf_counter()
    call(model, inputs)
    return time.perf_counter() - start
