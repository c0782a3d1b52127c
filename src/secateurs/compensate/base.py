"""The contract of a repair: a pruned network is changed in place, by what a removal tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import nn

from secateurs.compensate.combination import Combination
from secateurs.compensate.walk import Repaired
from secateurs.contracts import Loader, Progress, Ranking
from secateurs.effort import Effort
from secateurs.graph import Graph
from secateurs.network.exported import Exports
from secateurs.surgery.plan import Plan


@dataclass(frozen=True, eq=False)
class Removal:
    """What a repair may look at.

    Attributes:
        model: The original network, whole.
        graph: Its coupled groups.
        plan: Which of their units stay.
        data: Unlabelled samples, or None.
        limit: At most so many of them are used.
        seed: For what is drawn.
        progress: Told of every layer.
        exports: Captures of networks that are known already.
        combination: How kept units stand in for removed ones by the weights, where the method has a way of its own.
        ranking: In which order units left, and which unit each was paired with.
        effort: How long it may take.
    """

    model: nn.Module
    graph: Graph
    plan: Plan
    data: Loader | None = None
    limit: int = 3000
    seed: int = 0
    progress: Progress | None = None
    exports: Exports = field(default_factory=Exports)
    combination: Combination | None = None
    ranking: Ranking | None = None
    effort: Effort = "default"


Repair: TypeAlias = Callable[[nn.Module, Removal], Repaired | None]
"""Changes the pruned network it is given. Of its attributes, `name` goes on record and `needs_data` asks for data."""


def name_of(repair: Any) -> str:
    """What a repair, an allocation or a target is called on record.

    Example:
        >>> def halve(small, removal): ...
        >>> name_of(halve), name_of("merge")
        ('halve', 'merge')
    """
    if isinstance(repair, str):
        return repair
    return str(getattr(repair, "name", None) or getattr(repair, "__name__", type(repair).__name__.lower()))
