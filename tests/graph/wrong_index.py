"""Put one wrong index into one consumer of a correctly pruned network, and ask the proof.

The wrong network keeps, at one place of one consumer's reading axis, a position that was removed instead of one that
was kept: one filter's input weights are those of another filter. Shapes stay as they were, so nothing but the
numbers can tell.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from checks import Cut, double, outputs, randomise
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.layers.cut import cut as cut_out
from secateurs.surgery import Plan, remove, verify

TRIED = 6
"""Random inputs, besides the example, on which two networks are compared."""


@dataclass(frozen=True)
class Sabotage:
    """One wrong index: where, whether outputs or weights show it, and what the proof said.

    Attributes:
        tensor: The consumer.
        axis: Its reading axis.
        place: The place on that axis, in the smaller network.
        wrong: The removed position that it holds now.
        weights: Whether any stored number has changed.
        moves: Largest change of any output on any input, relative to that output's spread.
        caught: Whether the proof fails.
        by_numbers: Whether only the stored numbers gave it away, as the channel is dead on all inputs of the proof.
    """

    tensor: str
    axis: int
    place: int
    wrong: int
    weights: bool
    moves: float
    caught: bool
    by_numbers: bool


def sabotage(model: nn.Module, cut: Cut, example: Any, seed: int) -> Sabotage | None:
    """Sabotage a proven cut at a random place; None where no consumer has lost anything."""
    source = random.Random(seed)
    chosen = _place(cut, source)
    if chosen is None:
        return None
    tensor, axis, place, wrong = chosen
    bad = _wrong(model, cut.plan, tensor, axis, place, wrong)
    kept = cut.graph.slices(cut.keep)
    proof = verify(model, bad, cut.graph.silenced(cut.keep), example, kept=kept)
    good = remove(model, cut.plan)
    changed = any(not torch.equal(a, b) for a, b in zip(good.parameters(), bad.parameters(), strict=True))
    moved = _moved(good, bad, example, seed)
    by_numbers = "original's numbers" in proof.problem
    return Sabotage(tensor, axis, place, wrong, changed, moved, not proof.passed, by_numbers)


def _place(cut: Cut, source: random.Random) -> tuple[str, int, int, int] | None:
    slices, found = cut.plan.steps[0].slices, []
    for group in cut.graph.groups:
        kept = cut.keep.get(group.name)
        if kept is None or len(kept) == group.size:
            continue
        lost = np.setdiff1d(np.arange(group.size), kept)
        found += [(slot, kept, lost) for slot in group.slots_as("consumer") if slot.tensor in slices]
    if not found:
        return None
    slot, kept, lost = found[source.randrange(len(found))]
    column = source.randrange(slot.positions.shape[1])
    right = int(slot.positions[kept[source.randrange(len(kept))], column])
    wrong = int(slot.positions[lost[source.randrange(len(lost))], column])
    stays = list(slices[slot.tensor][slot.axis])
    return slot.tensor, slot.axis, stays.index(right), wrong


def _wrong(model: nn.Module, plan: Plan, tensor: str, axis: int, place: int, wrong: int) -> nn.Module:
    """Cut with one wrong position; `remove` would refuse such a plan, whose positions do not ascend."""
    step = plan.steps[0]
    slices = {name: {a: np.array(kept) for a, kept in axes.items()} for name, axes in step.slices.items()}
    slices[tensor][axis][place] = wrong
    return cut_out(model, slices, step.attributes)


def _moved(good: nn.Module, bad: nn.Module, example: Any, seed: int) -> float:
    """How far the outputs of the wrong network are from the right one's, over the example and random inputs."""
    good, bad = good.double(), bad.double()
    worst = 0.0
    for k in range(TRIED + 1):
        given = double(example) if k == 0 else _drawn(double(example), 1000 * seed + k)
        try:
            pairs = zip(outputs(good, given), outputs(bad, given), strict=True)
        except Exception:  # an input whose numbers may not be any
            continue
        worst = max([worst, *(_gap(a, b) for a, b in pairs)])
    return worst


def _gap(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    if not a.numel() or not a.is_floating_point():
        return float((a != b).any()) if a.numel() else 0.0
    spread = float(a.max() - a.min()) or float(a.abs().max()) or 1.0
    return float((a - b).abs().max()) / spread


def _drawn(example: Any, seed: int) -> Any:
    draw = torch.Generator().manual_seed(seed)
    scale = float(torch.rand(1, generator=draw)) * 4 + 0.2

    def one(x: Any) -> Any:
        if isinstance(x, Tensor) and x.is_floating_point():
            return torch.randn(x.shape, generator=draw, dtype=torch.float64) * scale
        return x

    return pytree.tree_map(one, example)


def pattern_source() -> Callable[[int], tuple[nn.Module, Any] | None]:
    """Networks of the patterns, by number, with random weights."""
    from patterns import PATTERNS

    def build(number: int) -> tuple[nn.Module, Any]:
        pattern = PATTERNS[number % len(PATTERNS)]
        torch.manual_seed(number)
        return randomise(pattern.build(), number).eval(), pattern.example

    return build
