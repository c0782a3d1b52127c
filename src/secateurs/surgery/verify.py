"""The proof: the smaller network against the original in which the removed channels are silenced."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.contracts import IntArray
from secateurs.surgery.calling import call
from secateurs.surgery.cut import cut
from secateurs.surgery.remove import silence

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}


@dataclass(frozen=True)
class Verification:
    """The outcome: the largest difference relative to the largest output, over all outputs and inputs."""

    passed: bool
    max_rel_diff: float
    tolerance: float
    precision: str
    inputs: tuple[str, ...]
    problem: str = ""

    def __str__(self) -> str:
        word = "passed" if self.passed else "FAILED"
        return (
            f"proof {word}: removal equals silencing to {self.max_rel_diff:.1e} of the output range "
            f"({self.precision}, on {' and '.join(self.inputs)} input; tolerance {self.tolerance:.0e})"
            + (f": {self.problem}" if self.problem else "")
        )


@torch.no_grad()
def verify(
    model: nn.Module,
    small: nn.Module,
    silenced: Mapping[str, Mapping[int, IntArray]],
    example: Any,
    *,
    seed: int = 0,
) -> Verification:
    """Compare `small` with `model` silenced at the given consumer positions, in float64.

    Both run on the example and on random input of its shape. Cost: two forward passes of each in float64
    and one copy of the weights at a time; the models given are untouched.

    Args:
        model: The original.
        small: The result of removal, before any repair.
        silenced: Positions of consumers that read removed channels (`Graph.silenced`).
        example: One input, as for `trace`.
        seed: Of the random input.

    Returns:
        Passed where the largest difference is within rounding of the largest output.
    """
    inputs = {"example": example, "random": random_like(example, seed)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for precision in (torch.float64, torch.float32):
            try:
                worst, problem = _compare(model, small, silenced, inputs, precision)
                break
            except RuntimeError as error:
                if precision == torch.float32:
                    first = str(error).strip().splitlines()[0]
                    return Verification(False, float("inf"), 0.0, "float32", tuple(inputs), first)
    tolerance = TOLERANCE[precision]
    name = str(precision).removeprefix("torch.")
    return Verification(worst <= tolerance and not problem, worst, tolerance, name, tuple(inputs), problem)


def random_like(example: Any, seed: int) -> Any:
    """Standard normal numbers where the example has floats; other inputs as they are."""
    generator = torch.Generator().manual_seed(seed)

    def draw(item: Any) -> Any:
        if isinstance(item, Tensor) and item.is_floating_point():
            return torch.randn(item.shape, generator=generator).to(item)
        return item

    return pytree.tree_map(draw, example)


def _compare(
    model: nn.Module, small: nn.Module, silenced: Any, inputs: Mapping[str, Any], precision: torch.dtype
) -> tuple[float, str]:
    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(precision) if tensor.is_floating_point() else tensor

    expected = _outputs(silence(model, silenced, cast), inputs, precision)
    found = _outputs(cut(small, {}, {}, cast), inputs, precision)
    worst = 0.0
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            return float("inf"), f"an output of shape {list(b.shape)} instead of {list(a.shape)}"
        if not a.is_floating_point():
            worst = max(worst, float((a != b).any()) if a.numel() else 0.0)
            continue
        if not bool(torch.isfinite(a).all()):
            return float("inf"), "the original gives values that are not finite"
        scale = float(a.abs().max()) if a.numel() else 0.0
        gap = float((a - b).abs().max()) if a.numel() else 0.0
        worst = max(worst, gap / scale if scale > 0 else gap)
        if gap != gap:
            return float("inf"), "the smaller network gives NaN"
    return worst, ""


def _outputs(model: nn.Module, inputs: Mapping[str, Any], precision: torch.dtype) -> list[Tensor]:
    model.eval()
    outs: list[Tensor] = []
    for given in inputs.values():
        cast = pytree.tree_map(
            lambda x: x.to(precision) if isinstance(x, Tensor) and x.is_floating_point() else x, given
        )
        torch.manual_seed(0)
        outs.extend(leaf for leaf in pytree.tree_leaves(call(model, cast)) if isinstance(leaf, Tensor))
    return outs
