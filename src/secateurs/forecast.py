"""forecast(): how long a pruning that looks at data will take, before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from secateurs.arguments import check_network
from secateurs.checks import check_effort, check_number, check_whole
from secateurs.compensate.pace import Pace
from secateurs.compensate.walk import FLOPS, WIDEST
from secateurs.contracts import Example
from secateurs.effort import Effort
from secateurs.errors import InputError
from secateurs.layers.linear_map import linear_map, positions
from secateurs.meters.timing import wait
from secateurs.running.copies import copy_model
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.running.examples import call, first_sample, inputs_of, repeated

_FELT: Mapping[Effort, int] = {"fast": 100, "default": 200, "best": 300}  # samples of the damages, as a rule
_BACK_AND_FORTH = 20  # passes of a refinement, where about half of the layers have producers of their own
_BATCH = 8
_ENOUGH = 0.5  # seconds to time something for
_SQUARE = 512  # side of the matrices by which linear algebra is timed


@dataclass(frozen=True)
class Forecast:
    """Seconds that the stages of a pruning will take, on the machine and the threads where it was made."""

    survey: float
    repair: float
    evaluation: float

    @property
    def seconds(self) -> float:
        """All of them."""
        return self.survey + self.repair + self.evaluation

    def __str__(self) -> str:
        parts = {"survey": self.survey, "repair": self.repair, "evaluation": self.evaluation}
        told = ", ".join(f"{name} {spoken(value)}" for name, value in parts.items() if value)
        return f"about {spoken(self.seconds)}" + (f" ({told})" if told else "")


def spoken(seconds: float) -> str:
    """A time with as many digits as a forecast has.

    Example:
        >>> spoken(4.2), spoken(83.0), spoken(3599.0), spoken(360000.0)
        ('4 s', '1.4 min', '1.0 h', '100 h')
    """
    for unit, size in (("h", 3570.0), ("min", 59.5)):
        if seconds >= size:
            value = seconds / (3600.0 if unit == "h" else 60.0)
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


@dataclass(frozen=True)
class _Layer:
    """Sizes of a layer as it reads its input: groups, row length, outputs of a group, places of a sample."""

    groups: int
    width: int
    outputs: int
    places: int

    @property
    def macs(self) -> float:
        """Multiply-adds for a sample."""
        return float(self.groups * self.width * self.outputs * self.places)


def forecast(
    model: nn.Module,
    example: Example,
    *,
    samples: int = 2048,
    scored: int = 0,
    stays: float = 0.5,
    effort: Effort = "default",
    survey: bool = True,
    damage: bool = True,
    repair: bool = True,
) -> Forecast:
    r"""How long `prune` will look at data, from the sizes of the layers and how fast they run here.

    A pass of a few samples and a product of two matrices are timed, which takes a second, or a few passes. With d the
    length of a row that a layer reads, n samples, p places and $\tau$ the time of a pass: the survey takes $n \tau$,
    products of min(n p, 150 d) rows, 60,000 at least, and $6 d^3$ for the order of removal and refits, its damages
    $12 \tau$ a sample, or with "best" $4 \tau$ a layer and sample; the repair some passes over each layer, products of
    300 d rows, 100,000 at least, $6 d^3$ a refit, and in each round 20 passes over as many samples as a refinement
    looks at. Where every layer has a producer of its own, or values do not fit in memory, it takes longer.

    Args:
        model: The network, on the device where it will be pruned; untouched.
        example: An input.
        samples: How many there are to look at.
        scored: How many the network before and the one after are evaluated on.
        stays: The share of the multiply-adds that is asked for, in (0, 1].
        effort: As `prune` has it.
        survey: Whether second moments are looked at: for the method `moments` or the allocation `sensitivity`.
        damage: Whether damages are, too: for the allocation `sensitivity`.
        repair: Whether the repair is `least-squares`.

    Raises:
        InputError: Bad arguments, or the network does not run on the example.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> made = forecast(net, torch.zeros(1, 3, 32, 32), samples=512)
        >>> 0 < made.survey < made.seconds
        True
    """
    check_network(model, example)
    check_whole("samples", samples)
    check_whole("scored", scored, least=0)
    if not 0 < check_number("stays", stays) <= 1:
        raise InputError(f"stays is {stays:g}; give the share of the multiply-adds that stays, in (0, 1].")
    check_effort("effort", effort)
    found, passing = _looked(model, example[0] if type(example) is list else example)
    multiplying = _product(device_of(model))
    total = sum(layer.macs for layer in found) or 1.0
    spent = {"survey": 0.0, "repair": 0.0, "evaluation": scored * (1 + stays) * passing}
    if survey:
        spent["survey"] = samples * passing + _orders(found, samples) * multiplying
    if survey and damage:
        passes = 4 * len(found) if effort == "best" else 12
        spent["survey"] += passes * min(_FELT[effort], samples / 2) * passing
    if repair and found:
        work = _Repair(samples, stays, passing / total, multiplying, Pace.of(effort))
        spent["repair"] = sum(map(work.seconds, found, [found[0], *found[:-1]]))
    return Forecast(**spent)


def _orders(found: Sequence[_Layer], samples: int) -> float:
    """Multiply-adds of the moments that a survey takes, and of what it makes of them."""
    products = 0.0
    for layer in found:
        d = layer.width
        if d <= WIDEST:
            rows = min(samples * layer.places, max(60_000, min(150 * d, FLOPS / d**2), 20 * d))
            products += layer.groups * (rows * d**2 / 2 + 6 * d**3)
    return products


@dataclass(frozen=True)
class _Repair:
    """What a sequential repair costs a layer; `passing` are seconds of a pass for a multiply-add of the layers."""

    samples: int
    stays: float
    passing: float
    multiplying: float
    pace: Pace

    def seconds(self, layer: _Layer, before: _Layer) -> float:
        """One layer, with the one before it as its only producer."""
        n, share = (
            min(self.samples, self.pace.samples),
            math.sqrt(self.stays),
        )  # of the channels on both sides
        fits = 1 + self.pace.rounds
        d, o = share * layer.width, share * layer.outputs
        if layer.width > WIDEST:
            return 0.0
        rows = max(100_000, min(self.pace.rows * d, FLOPS / d**2), 20 * d)
        rows = min(n * layer.places, rows) * (1 + (fits - 1) * self.pace.first)
        algebra = layer.groups * (rows * (d + o) ** 2 / 2 + fits * 6 * d**3)
        unknown = self.stays * before.groups * before.width * before.outputs
        values = share * layer.groups * layer.outputs * layer.places
        wanted = min(8e6, max(self.pace.fewest, self.pace.outputs * unknown))
        used = min(n, wanted / values, 1e8 / (4 * values))
        back = self.pace.rounds * _BACK_AND_FORTH * used * self.stays * (layer.macs + before.macs) / 2
        passes = (1 + fits) * n * (1 + self.stays) * layer.macs / 2
        return (back + passes) * self.passing + algebra * self.multiplying


def _looked(model: nn.Module, example: Any) -> tuple[list[_Layer], float]:
    """The layers in the order in which they run, and the seconds that a sample takes."""
    found: list[_Layer] = []

    def see(layer: nn.Module, _: Any, y: Any) -> None:
        form = linear_map(layer)
        if form is not None and isinstance(y, Tensor):
            found.append(_Layer(form.groups, form.width, form.outputs, positions(layer, y)))

    whole, device = copy_model(model), device_of(model)
    spare = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=spare), evaluation(whole), torch.no_grad():
        given, size = _batch(whole, example)
        with ExitStack() as stack:
            for module in whole.modules():
                stack.callback(module.register_forward_hook(see).remove)
            call(whole, given)
        return found, _timed(lambda: call(whole, given), device) / size


def _batch(model: nn.Module, example: Any) -> tuple[Any, int]:
    """Inputs that the network takes, of several samples where it does, and how many these are.

    Raises:
        InputError: It does not run on the example.
    """
    one = first_sample(inputs_of(example))
    try:
        call(model, one)
    except Exception:  # made for one batch size
        try:
            call(model, example)
        except Exception as problem:
            words = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            raise InputError(f"model: it does not run on the example: {words[:200]}") from problem
        first = next(x for x in tree_leaves(inputs_of(example)) if isinstance(x, Tensor))
        return example, max(1, len(first) if first.dim() else 1)
    several = repeated(example, _BATCH)
    try:
        start = time.perf_counter()
        call(model, several)
    except Exception:
        return one, 1
    return (several, _BATCH) if time.perf_counter() - start < _ENOUGH else (one, 1)


def _product(device: torch.device) -> float:
    """Seconds of a multiply-add in a product of matrices."""
    kind = torch.float32 if device.type == "mps" else torch.float64
    square = torch.ones(_SQUARE, _SQUARE, device=device, dtype=kind)
    return _timed(lambda: square @ square, device) / (_SQUARE * _SQUARE * _SQUARE)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of a few calls, after one to warm up."""
    times: list[float] = []
    for _ in range(6):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - start)
        if len(times) > 1 and sum(times) > _ENOUGH:
            break
    return min(times[1:])
