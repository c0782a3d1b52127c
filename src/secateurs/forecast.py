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
from torch.utils._pytree import tree_map_only

from secateurs.checks import check_effort, check_model, check_whole
from secateurs.compensate.pace import Pace
from secateurs.compensate.walk import FLOPS, WIDEST
from secateurs.contracts import Example
from secateurs.effort import Effort
from secateurs.layers.linear_map import linear_map, positions
from secateurs.running.copies import copy_model
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.running.examples import call

_SURVEYED = 1500  # samples of the survey's moments
_FELT: Mapping[Effort, float] = {"fast": 100, "default": 200, "best": 300}  # of its damages, as a rule
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
        return f"about {spoken(self.seconds)} ({told})"


def spoken(seconds: float) -> str:
    """A time with as many digits as a forecast has.

    Example:
        >>> spoken(4.2), spoken(83.0), spoken(5400.0)
        ('4 s', '1.4 min', '1.5 h')
    """
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}"
    return f"{max(1, round(seconds))} s"


@dataclass(frozen=True)
class _Layer:
    """Sizes of a layer as it reads its input: groups, row length, outputs of a group, places and multiply-adds."""

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
    repair: bool = True,
) -> Forecast:
    r"""How long `prune` will look at data, from the sizes of the layers and how fast they run here.

    A pass of a few samples and a product of two matrices are timed, a second or less. With d the length of a row that a
    layer reads, n samples, p places and $\tau$ the time of a pass: the survey takes $n \tau$, products of
    min(n p, 150 d) rows, and some $6 d^3$ for the order of removal and refits; the repair several passes over each
    layer, products of at most 300 d rows, $d^3$ for every refit, and twice 20 passes over as many samples as a
    refinement looks at. Where every layer has a producer of its own, or values do not fit in memory, it takes longer.

    Args:
        model: The network, on the device where it will be pruned; untouched.
        example: An input.
        samples: How many there are to look at.
        scored: How many the network before and the one after are evaluated on.
        stays: The share of the multiply-adds that is asked for.
        effort: As `prune` has it.
        survey: Whether damages are measured: for the method `moments` or the allocation `sensitivity`.
        repair: Whether the repair is `least-squares`.

    Raises:
        InputError: Bad arguments, or the network does not run on the example.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> made = forecast(net, torch.zeros(1, 3, 32, 32), samples=512)
        >>> 0 < made.survey < made.seconds
        True
    """
    check_model(model)
    check_whole("samples", samples)
    check_whole("scored", scored, least=0)
    check_effort("effort", effort)
    first = example[0] if type(example) is list else example
    found, passing = _looked(model, first)
    multiplying = _product(device_of(model))
    total = sum(layer.macs for layer in found) or 1.0
    spent = {"survey": 0.0, "repair": 0.0, "evaluation": scored * (1 + stays) * passing}
    if survey:
        spent["survey"] = _survey(found, samples, passing, multiplying, effort)
    if repair:
        work = _Repair(samples, stays, passing / total, multiplying, Pace.of(effort))
        spent["repair"] = sum(map(work.seconds, found, [found[0], *found[:-1]])) if found else 0.0
    return Forecast(**spent)


def _survey(
    found: Sequence[_Layer], samples: int, passing: float, multiplying: float, effort: Effort
) -> float:
    n = min(samples, _SURVEYED)
    products = 0.0
    for layer in found:
        d = layer.width
        if d > WIDEST:
            continue
        rows = min(n * layer.places, max(60_000, min(150 * d, FLOPS / d**2), 20 * d))
        products += layer.groups * (rows * d**2 / 2 + 6 * d**3)
    felt = min(_FELT[effort], n)
    return (n + 12 * felt) * passing + products * multiplying


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
        if layer.width > WIDEST or d < 1:
            return 0.0
        rows = max(100_000, min(self.pace.rows * d, FLOPS / d**2), 20 * d)
        rows = min(n * layer.places, rows) * (1 + (fits - 1) * self.pace.first)
        algebra = layer.groups * (rows * (d + o) ** 2 / 2 + fits * 6 * d**3)
        unknown = self.stays * before.groups * before.width * before.outputs
        values = share * layer.groups * layer.outputs * layer.places
        wanted = min(8e6, max(self.pace.fewest, self.pace.outputs * unknown))
        used = min(n, wanted / max(values, 1.0), 1e8 / max(4 * values, 1.0))
        refined = self.pace.rounds * _BACK_AND_FORTH * used * self.stays * (layer.macs + before.macs) / 2
        passes = (1 + fits) * n * (1 + self.stays) * layer.macs / 2
        return (refined + passes) * self.passing + algebra * self.multiplying


def _looked(model: nn.Module, example: Any) -> tuple[list[_Layer], float]:
    """The layers in the order in which they run, and the seconds that a sample takes."""
    found: list[_Layer] = []

    def see(layer: nn.Module, _: Any, y: Any) -> None:
        form = linear_map(layer)
        if form is not None and isinstance(y, Tensor):
            found.append(_Layer(form.groups, form.width, form.outputs, positions(layer, y)))

    whole = copy_model(model)
    with evaluation(whole), torch.inference_mode(), ExitStack() as stack:
        handles = [module.register_forward_hook(see) for module in whole.modules()]
        for handle in handles:
            stack.callback(handle.remove)
        call(whole, example)
        stack.close()
        batch = tree_map_only(
            Tensor, lambda x: x[:1].expand(_BATCH, *x.shape[1:]).contiguous() if x.dim() else x, example
        )
        try:
            call(whole, batch)
        except Exception:  # made for one batch size
            return found, _timed(lambda: call(whole, example))
        return found, _timed(lambda: call(whole, batch)) / _BATCH


def _product(device: torch.device) -> float:
    """Seconds of a multiply-add in a product of matrices."""
    square = torch.ones(_SQUARE, _SQUARE, device=device, dtype=torch.float64)
    seconds = _timed(lambda: float((square @ square)[0, 0]))
    return seconds / (_SQUARE * _SQUARE * _SQUARE)


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few calls, after one to warm up."""
    times: list[float] = []
    for _ in range(6):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
        if len(times) > 2 and sum(times) > _ENOUGH:
            break
    return min(times[1:])
