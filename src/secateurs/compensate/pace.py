"""How much a repair looks at for each effort: what each number costs, and what it brings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from secateurs.effort import Effort


@dataclass(frozen=True)
class Pace:
    """Bounds on what a sequential repair computes.

    Attributes:
        rounds: How often the layers before the removed channels are refitted.
        samples: At most so many samples are used.
        rows: Rows of data for every input of a layer, where that many are cheap, in the last fit of it. Those before
            the last only start a refinement.
        first: The share of these rows that the fits before the last look at.
        outputs: Output values that a refinement looks at for every unknown weight.
        fewest: So many of them at least: few unknowns are known well from little, but not from an image or two.
    """

    rounds: int
    samples: int
    rows: int
    first: float
    outputs: float
    fewest: float

    @classmethod
    def of(cls, effort: Effort) -> Pace:
        """The bounds of an effort.

        Example:
            >>> Pace.of("best").rounds
            2
        """
        return _PACES[effort]


_ALL = 2**31
_PACES: Mapping[Effort, Pace] = {
    "fast": Pace(rounds=1, samples=1024, rows=100, first=0.3, outputs=50, fewest=2e6),
    "default": Pace(rounds=2, samples=_ALL, rows=300, first=0.3, outputs=100, fewest=5e6),
    "best": Pace(rounds=2, samples=_ALL, rows=300, first=1.0, outputs=math.inf, fewest=0),
}
