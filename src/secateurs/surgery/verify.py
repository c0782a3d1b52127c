"""The proof: the smaller network against the original in which the removed channels are silenced.

Both are compared at what every layer reads and writes of the channels that stay, and at the outputs of the network,
each relative to its own spread. Removal is exact at every size of the input and for all weights. So where a network
takes smaller images than the example and a pass over the example is long, a part of the example stands for it; and
parameters that are one number throughout, such as a head that starts at zero, are replaced by random ones, as they
would hide errors.

What runs are copies: neither the original nor the smaller network is touched, nor any default of the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.contracts import Example, IntArray
from secateurs.errors import InputError
from secateurs.layers.reparametrised import is_reparametrised, reparametrised
from secateurs.layers.standardised import without_standardisation
from secateurs.layers.tensors import named_tensors, take
from secateurs.running.copies import copy_model
from secateurs.running.eval_mode import evaluating
from secateurs.running.examples import as_arguments, outputs
from secateurs.running.surroundings import Surroundings
from secateurs.surgery.given import check_verify
from secateurs.surgery.inputs import joined, numel, parts, random_like
from secateurs.surgery.masked_norm import SEEN, MaskedNorms
from secateurs.surgery.places import Place, differences, gap
from secateurs.surgery.precise import NeedsCopy, Precise, Stranger
from secateurs.surgery.remove import silence
from secateurs.surgery.replaced import drawn, weightless

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
RESCALED = 1e-4
"""Tolerance for weight norm and spectral norm: their scales are written anew, rounded to the weights' type."""
LONG_PASS, VERY_LONG_PASS = 5e7, 1e10
"""Multiply-adds of one pass over the example above which a part of it is taken, or no random input beside it."""
MANY_WEIGHTS = 10**8
"""Weights above which casting them takes longer than a pass, so that two inputs go through a network as one batch."""
Positions = Mapping[str, Mapping[int, IntArray]]


@dataclass(frozen=True)
class Verification:
    """The outcome: the largest difference relative to the spread of what is compared, over all places and inputs.

    `places` counts the outputs and the inputs and outputs of consumers that were compared, on all inputs together;
    `moved` the uses of consumers at which the removed channels carried a signal. `against` says where the original was
    more than silenced.
    """

    passed: bool
    max_rel_diff: float
    tolerance: float
    precision: str
    inputs: tuple[str, ...]
    problem: str = ""
    places: int = 0
    moved: int = 0
    against: str = ""

    def __str__(self) -> str:
        word = "passed" if self.passed else "FAILED"
        seen = f" at {self.places} places" if self.places else ""
        return (
            f"proof {word}: removal equals silencing to {self.max_rel_diff:.1e} of the range{seen} "
            f"({self.precision}, on {' and '.join(self.inputs)} input; tolerance {self.tolerance:.0e})"
            + (f", {self.against}" if self.against else "")
            + (f": {self.problem}" if self.problem else "")
        )


@torch.no_grad()
def verify(
    model: nn.Module,
    small: nn.Module,
    silenced: Positions,
    example: Example,
    *,
    kept: Positions | None = None,
    seed: int = 0,
    around: Surroundings | None = None,
) -> Verification:
    """Compare `small` with `model` silenced at the given consumer positions, in float64.

    Both run on the example and on random input. Weights are cast to float64 and silenced layer by layer as
    they are read. Cost: a copy of the weights of either at a time, and two forward passes of each in float64; a
    pass of more than `LONG_PASS` multiply-adds is made on a part of the example, `SIDES` pixels wide, where the
    network takes one; with more than `MANY_WEIGHTS` weights, on that part and random numbers as one batch.

    Args:
        model: The original.
        small: The result of removal, before any repair.
        silenced: Positions of consumers that read removed channels, by tensor and axis (`Graph.silenced`).
        example: One input, as for `trace`; a list of several.
        kept: Positions that stay on every axis of every tensor (`Graph.slices`), so that consumers which lose
            channels themselves can be compared at their outputs too.
        seed: Of the random input.
        around: What the model's code keeps outside it, where it has been looked up already.

    Returns:
        Passed where the largest difference is within rounding and something was compared.

    Raises:
        InputError: Something is no argument of this function, or a copy of the model reads the original's weights.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> verify(net, net, {}, torch.ones(1, 3, 4, 4)).passed
        True
    """
    silenced, kept = check_verify(model, small, silenced, example, seed, kept)
    model = without_standardisation(model)
    sides = _Sides(model, small, silenced, kept if kept is not None else _others(model, silenced), seed)
    around = around or Surroundings.of(model)
    found = [_proven(sides, one, seed, around) for one in (example if type(example) is list else [example])]
    outcome = found[0] if len(found) == 1 else _together(found)
    wrong = _misplaced(model, small, sides.kept) if outcome.passed else ""
    return replace(outcome, passed=False, problem=wrong) if wrong else outcome


def _misplaced(model: nn.Module, small: nn.Module, kept: Positions) -> str:
    """What is wrong where a stored tensor does not hold the original's numbers at the positions that stay.

    A channel that is dead on every input of the proof hides a wrong index from all comparisons of activations.
    """
    rescaled = {name for names in reparametrised(model) for name in names}
    found = dict(named_tensors(small))
    for name, tensor in named_tensors(model):
        other = found.get(name)
        stays = kept.get(name, {})
        if (
            other is None
            or name in rescaled
            or any(max(p, default=0) >= tensor.shape[a] for a, p in stays.items())
        ):
            continue
        right = take(tensor.detach(), stays)
        if right.shape == other.shape and not torch.equal(right, other.detach()):
            same = torch.isclose(right, other.detach(), rtol=0, atol=0, equal_nan=True)
            if not bool(same.all()):
                return f"'{name}' does not hold the original's numbers at the positions that stay"
    return ""


def _others(model: nn.Module, silenced: Positions) -> dict[str, dict[int, IntArray]]:
    shapes = {name: tuple(t.shape) for name, t in named_tensors(model) if name in silenced}
    return {
        name: {axis: np.setdiff1d(np.arange(shapes[name][axis]), gone) for axis, gone in axes.items()}
        for name, axes in silenced.items()
        if name in shapes
    }


def _together(found: list[Verification]) -> Verification:
    """One outcome of several examples: the worst of each."""
    worst = next((f for f in found if not f.passed), max(found, key=lambda f: f.max_rel_diff))
    inputs = tuple(dict.fromkeys(name for f in found for name in f.inputs))
    places, moved = sum(f.places for f in found), sum(f.moved for f in found)
    return Verification(
        worst.passed,
        worst.max_rel_diff,
        worst.tolerance,
        worst.precision,
        inputs,
        worst.problem,
        places,
        moved,
        next((f.against for f in found if f.against), ""),
    )


def _proven(sides: _Sides, example: Example, seed: int, around: Surroundings) -> Verification:
    first = ""
    for precision in (torch.float64, torch.float32):
        sides.start()
        try:
            with around.kept():
                return _proof(sides, example, precision, seed)
        except Stranger as stranger:
            raise InputError(
                f"model: a copy of it still reads the original's '{stranger}', so its code holds the original itself "
                "(a function or global that refers to it); let the code reach its weights by `self`."
            ) from None
        except _FAILURES as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Verification(False, float("inf"), 0.0, "float32", ("example",), first)


# What a network's own code raises where it meets a size that it was not written for.
_FAILURES = (
    RuntimeError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
)


def _proof(sides: _Sides, example: Example, precision: torch.dtype, seed: int) -> Verification:
    gaps: list[float] = []
    used: list[str] = []
    problem, moved = "", 0
    for label, given in _inputs(sides, example, precision, seed):
        used.append(label)
        whole, less = sides.runs(given, precision)
        ends, problem = _ends(whole.outputs, less.outputs)
        inner, signals = differences(whole.places, less.places, sides.kept, sides.silenced)
        gaps.extend([*ends, *inner])
        moved += signals
        if problem:
            break
    tolerance, name = TOLERANCE[precision], str(precision).removeprefix("torch.")
    if is_reparametrised(sides.model, sides.silenced):
        tolerance = max(tolerance, RESCALED)
    worst = max(gaps, default=float("inf"))
    if not gaps and not problem:
        problem = (
            "there was nothing to compare: no output holds a number, and no consumer of a removed channel ran"
        )
    passed = worst <= tolerance and not problem
    against = SEEN if sides.masked else ""
    return Verification(passed, worst, tolerance, name, tuple(used), problem, len(gaps), moved, against)


def _ends(expected: list[Tensor], found: list[Tensor]) -> tuple[list[float], str]:
    """Differences of all outputs that hold anything, and what makes the comparison void."""
    gaps: list[float] = []
    if len(expected) != len(found):
        return [float("inf")], f"{len(found)} outputs instead of {len(expected)}"
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            return [float("inf")], f"an output of shape {list(b.shape)} instead of {list(a.shape)}"
        if not a.numel():
            continue
        if not (a.is_floating_point() or a.is_complex()):
            gaps.append(float((a != b).any()))
            continue
        if bool(torch.isnan(a).all()):
            return [float("inf")], NOT_FINITE
        if bool((torch.isnan(b) & ~torch.isnan(a)).any()):
            return [float("inf")], "the smaller network gives NaN"
        gaps.append(gap(a, b))
    return gaps, ""


NOT_FINITE = (
    "the original network gives values that are not finite (NaN or infinity), so nothing can be compared"
)


def _inputs(sides: _Sides, example: Example, precision: torch.dtype, seed: int) -> Iterator[tuple[str, Any]]:
    """What to compare on: random input first, small where that will do, then the example or a part of it."""
    for part in parts(example):
        drawn = random_like(part, seed)
        if sides.weights > MANY_WEIGHTS and sides.takes(both := joined(drawn, part), precision):
            yield "random input and a part of the example as", both
            return
        if not sides.takes(drawn, precision):
            continue
        yield "random", drawn
        whole = sides.macs * numel(example) / max(1, numel(part))
        if whole > LONG_PASS:
            yield "a part of the example as", part
        else:
            yield "example", example
        return
    yield "example", example
    if sides.macs < VERY_LONG_PASS:
        yield "random", random_like(example, seed)


@dataclass(frozen=True)
class _Run:
    """What came out of one network, and what its consumers of removed channels read and wrote."""

    outputs: list[Tensor]
    places: list[Place]


@dataclass
class _Sides:
    """The two networks of the proof; what runs are copies of them."""

    model: nn.Module
    small: nn.Module
    silenced: Positions
    kept: Positions
    seed: int
    macs: float = 0.0
    doubles: bool = False
    tried: tuple[Any, _Run] | None = None
    drawn: dict[str, Tensor] = field(default_factory=dict)
    masked: bool = False

    def __post_init__(self) -> None:
        self.strangers = {
            id(t): name for net in (self.model, self.small) for name, t in named_tensors(net) if t.numel()
        }
        self.weights = sum(tensor.numel() for _, tensor in named_tensors(self.model))
        # every layer, as channels that nothing reads may leave too, and code may then pick others in their place
        self.watched = {name for name, t in named_tensors(self.model) if t.dim() > 1} | set(self.silenced)
        if not is_reparametrised(self.model, self.silenced):
            self.drawn = dict(drawn(self.model, self.seed))

    def start(self) -> None:
        """Forget what was found in another precision."""
        self.macs, self.doubles, self.tried = 0.0, False, None

    def runs(self, given: Any, precision: torch.dtype) -> tuple[_Run, _Run]:
        """The silenced original and the small network."""
        if self.tried is not None and self.tried[0] is given:
            found = self.tried[1]
        else:
            found = self._run(self.small, False, given, precision)
        return self._run(self.model, True, given, precision), found

    def takes(self, given: Any, precision: torch.dtype) -> bool:
        """Run the small network alone, to see whether it takes an input; what comes out is kept for it."""
        try:
            self.tried = (given, self._run(self.small, False, given, precision))
        except Exception:  # whatever the network's code raises where an input is too small for it
            return False
        return True

    def _run(self, model: nn.Module, whole: bool, given: Any, precision: torch.dtype) -> _Run:
        def cast(tensor: Any) -> Any:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                return tensor.detach().to(precision, copy=True)
            return tensor.clone() if isinstance(tensor, Tensor) else tensor

        silenced = self.silenced if whole else {}
        if not self.doubles and not is_reparametrised(model, silenced):
            held = weightless(model, self.drawn) if self.weights > MANY_WEIGHTS else {}
            copied = self._copied(model, whole, held)
            try:
                return self._passed(
                    copied, silenced, pytree.tree_map(cast, given), precision, whole, held=held
                )
            except (NeedsCopy, *_FAILURES):
                pass
        cast_copy = silence(self._copied(model, whole), silenced, cast)
        made = self._passed(cast_copy, {}, pytree.tree_map(cast, given), precision, whole, writable=True)
        self.doubles = True
        return made

    def _copied(
        self, model: nn.Module, whole: bool, held: Mapping[int, nn.Parameter] | None = None
    ) -> nn.Module:
        """A copy in which parameters that are one number throughout are random, the same on both sides."""
        found = dict(named_tensors(model))
        others: dict[int, Any] = dict(held or {})
        for name, tensor in self.drawn.items():
            value = tensor if whole else take(tensor, self.kept.get(name, {}))
            if name in found and found[name].shape == value.shape:
                others[id(found[name])] = nn.Parameter(value.to(found[name]), requires_grad=False)
        return copy_model(model, others)

    def _passed(
        self,
        copied: nn.Module,
        silenced: Positions,
        given: Any,
        precision: torch.dtype,
        whole: bool,
        *,
        held: Mapping[int, nn.Parameter] | None = None,
        writable: bool = False,
    ) -> _Run:
        originals = dict(named_tensors(self.model if whole else self.small)) if held else {}
        mode = Precise(
            copied,
            silenced,
            precision,
            watched=self.watched,
            strangers=self.strangers,
            seed=self.seed,
            sources={id(held[id(t)]): t for t in originals.values() if held and id(t) in held},
            writable=writable,
        )
        args, kwargs = as_arguments(given)
        norms = MaskedNorms(copied, self.kept if whole else {})
        with evaluating(copied), mode, norms:
            result = outputs(copied, args, kwargs)
        if held and any(bool(torch.isnan(x).any()) for x in result if x.is_floating_point()):
            raise NeedsCopy("NaN")
        self.masked |= norms.used
        self.macs = max(self.macs, mode.macs)
        return _Run(result, mode.places)
