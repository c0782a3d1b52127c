"""Passes of networks timed in turns, and whether their times say anything about the networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from secateurs.errors import InputError
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.running.examples import call

BEST = 3
"""So many of the fastest runs have to agree."""
AGREE = 1.15
"""The slowest of them over the fastest, at most."""
BUSY = 1.25
"""Clock time over processor time, at most: above it the process waited for a processor."""


@dataclass(frozen=True)
class Clocks:
    """Where times are read, in seconds: from the clock, and the processor time of all threads of this process."""

    clock: Callable[[], float] = time.perf_counter
    processor: Callable[[], float] = time.process_time


@dataclass
class Runs:
    """Clock time and processor time of the passes of one network, in milliseconds."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    checked: bool = True

    @property
    def best(self) -> list[int]:
        """The fastest runs, the fastest first."""
        return sorted(range(len(self.clock)), key=self.clock.__getitem__)[:BEST]

    @property
    def trouble(self) -> str | None:
        r"""Why the fastest run is not the time of the network; None where it is.

        With $t_1 \le t_2 \le t_3$ the fastest runs and $p_i$ their processor times (ms), it is where
        $t_3 / t_1 \le 1.15$ and $\max_i t_i / p_i \le 1.25$. Other programs only ever add to a time, so the
        minimum is right where some runs were left alone, however many were not. A processor time of 0 comes
        from a coarse clock (16 ms on Windows) and says nothing.
        """
        times = [self.clock[i] for i in self.best]
        waited = max(
            (self.clock[i] / self.processor[i] for i in self.best if self.processor[i] > 0), default=1.0
        )
        if self.checked and waited > BUSY:
            return f"the machine was busy: even the fastest runs took {waited:.1f} times their processor time"
        if len(times) < BEST or times[-1] > AGREE * times[0]:
            return f"the fastest runs took {', '.join(f'{t:.3g}' for t in times)} ms and do not agree"
        return None


def timed_in_turns(
    models: Sequence[nn.Module],
    inputs: Sequence[Any],
    *,
    runs: int,
    warmup: int,
    threads: int | None,
    seconds: float,
    clocks: Clocks,
) -> tuple[tuple[Runs, ...], int, int]:
    """Run every network once a round, beginning with another one each time, until their times can be trusted.

    At least `runs` rounds, and on while a network's time is in `trouble`, though no round begins after
    `seconds`, except for the first five.

    Returns:
        The runs of each network, rounds of warm-up, and the number of threads.
    """
    found = tuple(Runs(checked=device_of(model).type == "cpu") for model in models)
    with number_of_threads(threads), torch.inference_mode():
        begin = clocks.clock()
        warmed = 0
        while warmed < warmup and (warmed == 0 or clocks.clock() - begin < seconds / 2):
            for model, x in zip(models, inputs, strict=True):
                _one_pass(model, x, clocks)
            warmed += 1
        turn, least = 0, min(runs, 5)
        while turn < least or clocks.clock() - begin < seconds:
            if turn >= runs and not any(r.trouble for r in found):
                break
            for step in range(len(models)):
                k = (turn + step) % len(models)
                clock, processor = _one_pass(models[k], inputs[k], clocks)
                found[k].clock.append(clock)
                found[k].processor.append(processor)
            turn += 1
        return found, warmed, torch.get_num_threads()


def _one_pass(model: nn.Module, inputs: Any, clocks: Clocks) -> tuple[float, float]:
    """Milliseconds of one pass; the switch to evaluation mode is outside the measured time."""
    device = device_of(model)
    try:
        with evaluation(model):
            wait(device)
            processor, clock = clocks.processor(), clocks.clock()
            call(model, inputs)
            wait(device)
            clock = clocks.clock() - clock
            return 1000 * clock, 1000 * (clocks.processor() - processor)
    except (RuntimeError, TypeError, ValueError) as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in tree_leaves(inputs) if isinstance(x, Tensor))
        raise InputError(
            f"The network {type(model).__name__} cannot run on one sample of the example (shapes {shapes}): "
            f"{error}"
        ) from error


def wait(device: torch.device) -> None:
    """Wait for what an accelerator has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def number_of_threads(number: int | None) -> Iterator[None]:
    """So many threads inside, and as many as before outside; None changes nothing."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
