"""A plan for a target in measured latency: candidates are made and timed against the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secateurs.allocate.sequence import Allocation
from secateurs.contracts import Ranking
from secateurs.errors import TargetError
from secateurs.planning import Queue, check_target, plan_from_counts, removals
from secateurs.report.latency import compare_latency
from secateurs.surgery import Plan, remove

_ROUNDS = 8


def plan_for_latency(
    ranking: Ranking,
    latency: float,
    example: Any,
    *,
    allocate: Allocation | None = None,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
    runs: int = 20,
) -> Plan:
    """The largest network, to one part in 256 of the way, whose median latency is at most a share of the original's.

    Each candidate runs in turns with the original, so that the machine's other work hits both. Latency need
    not fall with every channel, so among those timed the one that keeps most of those fast enough is taken.

    Args:
        ranking: From `rank`.
        latency: Share of the median latency at batch 1 that stays, in (0, 1].
        example: One input.
        allocate: Which group gives the next unit; `Uniform()` by default.
        round_to: Groups keep a multiple of this many units, which is what kernels like.
        layers: Exceptions by name, as in `plan`.
        runs: Timed passes of each candidate and of the original beside it.

    Raises:
        InputError: `latency` is outside (0, 1].
        TargetError: No candidate was fast enough; says the best share measured.

    Cost:
        8 candidates, each `runs` passes of itself and of the original.
    """
    check_target({"latency": latency})
    queue = removals(ranking, allocate, round_to, layers)
    low, high, best, fastest = 0, len(queue.sequence), -1, 1.0
    if latency == 1:
        high, best = 0, 0
    for position in _first(len(queue.sequence), latency):
        share = _share(ranking, queue, position, example, runs)
        fastest = min(fastest, share)
        low, high, best = _narrow(position, share <= latency, low, high, best)
    for _ in range(_ROUNDS):
        if high - low <= max(1, len(queue.sequence) // 256):
            break
        middle = (low + high) // 2
        share = _share(ranking, queue, middle, example, runs)
        fastest = min(fastest, share)
        low, high, best = _narrow(middle, share <= latency, low, high, best)
    if best < 0:
        raise TargetError(
            f"latency {latency:g} cannot be reached: the fastest network measured took {fastest:.2f} of the "
            "original's time. Give a larger target."
        )
    return plan_from_counts(ranking, queue.counts(best), {"latency": latency})


def _first(length: int, latency: float) -> list[int]:
    """All removals at once tell whether the target can be reached at all."""
    return [] if latency == 1 else [length]


def _narrow(position: int, fast: bool, low: int, high: int, best: int) -> tuple[int, int, int]:
    if fast:
        return low, min(high, position), position if best < 0 else min(best, position)
    return max(low, position), high, best


def _share(ranking: Ranking, queue: Queue, steps: int, example: Any, runs: int) -> float:
    small = remove(ranking.graph.model, plan_from_counts(ranking, queue.counts(steps), {}))
    whole, less = compare_latency([ranking.graph.original, small], example, runs=runs, warmup=3)
    return less.median_ms / whole.median_ms
