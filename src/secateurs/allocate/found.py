"""What a search found: its steps, the orders in which units left, and what is to be known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from secateurs.contracts import IntArray, Ranking


@dataclass(frozen=True)
class Check:
    """One step at which a lazy search scored all groups: the score of its own choice, and the best of all."""

    step: int
    lazy: float
    best: float


@dataclass(frozen=True, eq=False)
class Taken:
    """One step: the index of the group, the units it has left, and how they stand in (see `Pick.mix`)."""

    group: int
    count: int
    mix: Tensor | None


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found: the group of every removal, the error after each step, and what it cost.

    `passes` are forward passes of the whole network over all samples, `trials` candidates scored, `plain` the
    candidates that a search which scores all of them at every step would have scored. `ranking` has the orders in
    which units left; `taken` the steps of a search that chooses anew, whose plan ends with a whole step. `checks`
    compare the lazy choice with all others; `left_out` samples of those there were did not fill a chunk.
    """

    sequence: IntArray
    errors: tuple[float, ...]
    trials: int
    plain: int
    passes: float
    ranking: Ranking
    taken: tuple[Taken, ...] = ()
    checks: tuple[Check, ...] = ()
    left_out: int = 0
    lazy: bool = True

    def at(self, counts: IntArray) -> tuple[IntArray, dict[str, Tensor]]:
        """Counts at the end of the step in which all of these are reached, and how units stand in then.

        Where units leave in the order of the ranking the counts are those given, and nothing needs to be said.
        """
        if not self.taken:
            return counts, {}
        groups = self.ranking.graph.groups
        state, mixes = self.ranking.graph.costs.sizes.copy(), {}
        for one in self.taken:
            if (state <= counts).all():
                break
            state[one.group] = one.count
            if one.mix is not None:
                mixes[groups[one.group].name] = one.mix
        return state, mixes

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known of it: how far the lazy choice was from the best, and samples that were left out."""
        said = []
        if self.left_out:
            said.append(
                f"search: {self.left_out} of the samples were left out, as chunks are of one size; give a multiple "
                "of 64 to use all"
            )
        if self.lazy and self.errors:
            said.append(f"search: lazy; {_compared(self.checks, len(self.errors))}")
        return tuple(said)


def _compared(checks: Sequence[Check], steps: int) -> str:
    """How far lazy choices were from the best, in words."""
    if not checks:
        return f"none of its {steps} steps was compared with a search that scores every group (`lazy=false`)"
    off = [c for c in checks if c.lazy > c.best]
    each = ", ".join(f"{c.lazy:.3g} where {c.best:.3g} was to be had at step {c.step}" for c in off)
    return (
        f"at {len(checks)} of {steps} steps all groups were scored, and its choice was the best at "
        f"{len(checks) - len(off)}" + (f" (score {each}; the best was taken)" if off else "")
    )
