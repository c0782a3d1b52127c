"""The proof: the smaller network against the original in which the removed channels are silenced.

Removal is exact at every size of the input, so where a network takes smaller images than the example and a
pass over the example is long, a part of the example stands for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.contracts import IntArray
from secateurs.surgery.calling import call, evaluating
from secateurs.surgery.cut import is_reparametrised
from secateurs.surgery.precise import NeedsCopy, Precise
from secateurs.surgery.remove import silence

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
RESCALED = 1e-4
"""Tolerance for weight norm and spectral norm: their scales are written anew, rounded to the weights' type."""
SIDES = (64, 96)
"""Pixels on a side of the part of an example that stands for a larger one; the first that a network takes."""
LONG_PASS, VERY_LONG_PASS = 5e7, 1e10
"""Multiply-adds of one pass over the example above which a part of it is taken, or no random input beside it."""


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

    Both run on the example and on random input. Weights are cast to float64 and silenced layer by layer as
    they are read, so that no second copy of them exists. Cost: two forward passes of each in float64; a
    pass of more than `LONG_PASS` multiply-adds is made on a part of the example, `SIDES` pixels wide, where the
    network takes one.

    Args:
        model: The original.
        small: The result of removal, before any repair.
        silenced: Positions of consumers that read removed channels (`Graph.silenced`).
        example: One input, as for `trace`.
        seed: Of the random input.

    Returns:
        Passed where the largest difference is within rounding of the largest output.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> verify(net, net, {}, torch.ones(1, 3, 4, 4)).passed
        True
    """
    sides = _Sides(model, small, silenced)
    # A proof draws, and leaves the caller's generators alone.
    own_numbers = torch.random.fork_rng(devices=range(torch.cuda.device_count()))
    with evaluating(model), evaluating(small), own_numbers, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for precision in (torch.float64, torch.float32):
            try:
                return _proof(sides, example, precision, seed)
            except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Verification(False, float("inf"), 0.0, "float32", ("example",), first)


def _proof(sides: _Sides, example: Any, precision: torch.dtype, seed: int) -> Verification:
    worst, problem, used = 0.0, "", []
    for label, given in _inputs(sides, example, precision, seed):
        used.append(label)
        gap, problem = _gap(*sides.outputs(given, precision))
        worst = max(worst, gap)
        if problem:
            break
    tolerance, name = TOLERANCE[precision], str(precision).removeprefix("torch.")
    if is_reparametrised(sides.model, sides.silenced):
        tolerance = max(tolerance, RESCALED)
    return Verification(worst <= tolerance and not problem, worst, tolerance, name, tuple(used), problem)


def _inputs(sides: _Sides, example: Any, precision: torch.dtype, seed: int) -> Iterator[tuple[str, Any]]:
    """What to compare on: random input first, small where that will do, then the example or a part of it."""
    for part in parts(example):
        drawn = random_like(part, seed)
        try:
            sides.try_small(drawn, precision)
        except Exception:  # the network takes no smaller input
            continue
        yield "random", drawn
        whole = sides.macs * _numel(example) / max(1, _numel(part))
        if whole > LONG_PASS:
            yield "a part of the example as", part
        else:
            yield "example", example
        return
    yield "example", example
    if sides.macs < VERY_LONG_PASS:
        yield "random", random_like(example, seed)


def parts(example: Any) -> Iterator[Any]:
    """Smaller inputs cut out of the middle of an example with one large image, spectrogram or signal."""
    leaves = [x for x in pytree.tree_leaves(example) if isinstance(x, Tensor)]
    large = [x for x in leaves if x.dim() in (4, 5) and max(x.shape[2:]) > SIDES[-1] * 1.3]
    if len(leaves) != 1 or not large:
        return

    def cut_to(sides: list[int]) -> Any:
        def one(x: Any) -> Any:
            for axis, side in enumerate(sides, start=2):
                x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
            return x

        return pytree.tree_map(one, example)

    shape = list(large[0].shape[2:])
    for side in SIDES:
        yield cut_to([min(s, side) for s in shape])
    if max(shape[:-1]) > SIDES[-1] and shape[-1] > SIDES[-1]:
        yield cut_to([*shape[:-1], SIDES[-1]])


def _numel(example: Any) -> int:
    return max([x.numel() for x in pytree.tree_leaves(example) if isinstance(x, Tensor)] or [1])


def random_like(example: Any, seed: int) -> Any:
    """Standard normal numbers where the example has floats; other inputs as they are."""
    generator = torch.Generator().manual_seed(seed)

    def draw(item: Any) -> Any:
        if isinstance(item, Tensor) and item.is_floating_point():
            return torch.randn(item.shape, generator=generator).to(item)
        return item

    return pytree.tree_map(draw, example)


def _gap(expected: list[Tensor], found: list[Tensor]) -> tuple[float, str]:
    """Largest difference relative to each output's largest value, and what makes the comparison void."""
    worst = 0.0
    if len(expected) != len(found):
        return float("inf"), f"{len(found)} outputs instead of {len(expected)}"
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            return float("inf"), f"an output of shape {list(b.shape)} instead of {list(a.shape)}"
        if not (a.is_floating_point() or a.is_complex()):
            worst = max(worst, float((a != b).any()) if a.numel() else 0.0)
            continue
        if not bool(torch.isfinite(a).all()):
            return float("inf"), NOT_FINITE
        scale = float(a.abs().max()) if a.numel() else 0.0
        gap = float((a - b).abs().max()) if a.numel() else 0.0
        if gap != gap:
            return float("inf"), "the smaller network gives NaN"
        worst = max(worst, gap / scale if scale > 0 else gap)
    return worst, ""


NOT_FINITE = (
    "the original network gives values that are not finite (NaN or infinity), so nothing can be compared"
)


@dataclass
class _Sides:
    """The two networks of the proof."""

    model: nn.Module
    small: nn.Module
    silenced: Mapping[str, Mapping[int, IntArray]]
    macs: float = 0.0
    copies: bool = False
    tried: tuple[Any, list[Tensor]] | None = None

    def outputs(self, given: Any, precision: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs of the silenced original and of the small network."""
        if self.tried is not None and self.tried[0] is given:
            found = self.tried[1]
        else:
            found = self._run(self.small, {}, given, precision)
        return self._run(self.model, self.silenced, given, precision), found

    def try_small(self, given: Any, precision: torch.dtype) -> None:
        """Run the small network alone, to see whether it takes an input; the outputs are kept for it."""
        self.tried = (given, self._run(self.small, {}, given, precision))

    def _run(
        self,
        model: nn.Module,
        silenced: Mapping[str, Mapping[int, IntArray]],
        given: Any,
        precision: torch.dtype,
    ) -> list[Tensor]:
        def cast(tensor: Any) -> Any:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                return tensor.to(precision)
            return tensor

        inputs, before = pytree.tree_map(cast, given), torch.get_default_dtype()
        torch.manual_seed(0)
        torch.set_default_dtype(precision)
        try:
            if not self.copies and not is_reparametrised(model, silenced):
                try:
                    with Precise(model, silenced, precision) as mode:
                        result = call(model, inputs)
                    self.macs = max(self.macs, mode.macs)
                    return _tensors(result)
                except (NeedsCopy, RuntimeError, TypeError, ValueError):
                    torch.manual_seed(0)
            result = _tensors(call(silence(model, silenced, cast).eval(), inputs))
            self.copies = True
            return result
        finally:
            torch.set_default_dtype(before)


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
