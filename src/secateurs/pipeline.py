"""prune(): trace, observe, rank, plan, remove, verify, compensate: the method on one page."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from secateurs import allocate as allocations
from secateurs import methods
from secateurs.allocate.sequence import Allocation
from secateurs.contracts import Loader, Progress, Ranking
from secateurs.errors import InputError, VerificationError
from secateurs.graph import Graph, Tracer
from secateurs.graph.values import retrace_by_values
from secateurs.latency import plan_for_latency
from secateurs.observe.glances import glances
from secateurs.planning import check_target, keep_of, plan, rank
from secateurs.recover.recalibrate import recalibrate_
from secateurs.report.costs import Costs, count_costs
from secateurs.surgery import Plan, Verification, remove, verify
from secateurs.surgery.cut import named_tensors
from secateurs.surgery.files import save_model

_TRIES = 5


@dataclass(frozen=True)
class GroupReport:
    """What became of one group, and what its layers cost in the original."""

    name: str
    size: int
    kept: int
    status: str
    reason: str | None
    params: int
    macs: int


@dataclass(frozen=True)
class Result:
    """The smaller network and everything there is to say about it; prints as a table."""

    model: nn.Module
    plan: Plan
    verification: Verification
    method: str
    target: Mapping[str, float]
    before: Costs
    after: Costs
    groups: tuple[GroupReport, ...]
    seconds: Mapping[str, float]
    seed: int
    versions: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [
            f"{self.method}: " + (", ".join(f"{k} {v:g}" for k, v in self.target.items()) or "own ratio"),
            f"{'':12} {'before':>16} {'after':>16} {'stays':>8}",
        ]
        for name in ("params", "macs"):
            before, after = getattr(self.before, name), getattr(self.after, name)
            rows.append(f"{name:12} {before:16,d} {after:16,d} {after / max(before, 1):8.1%}")
        locked = [g for g in self.groups if g.status == "locked"]
        pruned = sum(g.status == "pruned" for g in self.groups)
        rows.append(f"{pruned} of {len(self.groups)} groups pruned, {len(locked)} locked")
        rows.extend(f"  {g.name}: {g.reason}" for g in locked)
        rows.append(str(self.verification))
        return "\n".join(rows)


def prune(
    model: nn.Module,
    example: Any,
    *,
    method: str | methods.Method = "l1-norm",
    macs: float | None = None,
    params: float | None = None,
    keep: float | None = None,
    latency: float | None = None,
    data: Loader | None = None,
    allocate: str | Allocation = "uniform",
    compensate: str = "none",
    recalibrate: bool = False,
    calibrate: int = 2048,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Make a smaller network, prove it, and repair it if asked.

    Args:
        model: Any trained module; it is left untouched.
        example: One input: a tensor, a tuple of inputs, or a dict of named ones.
        method: A name from `methods.names()`, or a `Method`.
        macs: Share of the multiply-adds that stays, in (0, 1]. Give at most one target; without any, methods
            that have a ratio of their own use it.
        params: Share of the parameters that stays.
        keep: Share of the prunable units that stays.
        latency: Share of the measured latency at batch 1 that stays.
        data: A little unlabelled training data, for methods and repairs that look at it.
        allocate: "uniform", "global", or an `Allocation`.
        compensate: How consumers are repaired: "none" or a name from `compensate.names()`.
        recalibrate: Estimate the batch-norm statistics anew on `data`.
        calibrate: At most this many samples of `data` are used.
        round_to: Groups keep a multiple of this many units.
        layers: Exceptions: groups whose name matches a pattern keep that share of their units.
        seed: Same seed, same plan.
        progress: Told of long stages.

    Returns:
        The smaller network with its plan, its proof and its costs.

    Raises:
        InputError: Bad arguments, weights that are not finite, data missing.
        CaptureError: The model does not run on the example.
        TargetError: The target cannot be reached; says which can.
        VerificationError: The smaller network is not the silenced original.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> result = prune(net, torch.zeros(1, 3, 8, 8), method="l1-norm", keep=0.5)
        >>> result.model[0].out_channels, result.verification.passed
        (4, True)
    """
    chosen = methods.get(method) if isinstance(method, str) else method
    check_target({"macs": macs, "params": params, "keep": keep, "latency": latency})
    allocation = allocations.get(allocate) if isinstance(allocate, str) else allocate
    check_finite(model)
    if recalibrate and data is None:
        raise InputError(
            "data: recalibration estimates statistics from data and got none; give some training data."
        )
    clock = _Clock()
    with clock("trace"):
        tracer = Tracer(model, example)
        graph = tracer.graph()
    with clock("costs"):
        before = count_costs(model, example)
    for _ in range(_TRIES):
        with clock("observe"):
            stats = _look(model, graph, chosen, data, calibrate, progress)
        with clock("rank"):
            ranking = rank(graph, chosen, stats, seed=seed)
        with clock("plan"):
            shares = {"macs": macs, "params": params, "keep": keep}
            made = _plan(
                ranking, shares, latency, example, allocate=allocation, round_to=round_to, layers=layers
            )
        with clock("remove"):
            small = remove(model, made)
        with clock("verify"):
            verification = verify(model, small, graph.silenced(keep_of(made)), example, seed=seed)
            found = None if verification.passed else retrace_by_values(tracer, keep_of(made))
        if found is None:
            break
        graph = found  # code that computes with the number of channels: what it touches is locked now
    if not verification.passed:
        raise VerificationError(f"{verification}. Nothing was written; please report this network.")
    if recalibrate:
        with clock("recalibrate"):
            _recalibrate(small, data, calibrate, progress)
    with clock("costs"):
        after = count_costs(small, example)
    small.train(model.training)
    groups = group_reports(graph, made)
    kind = dict(made.target)
    return Result(
        small, made, verification, chosen.name, kind, before, after, groups, clock.seconds, seed, versions()
    )


def _plan(
    ranking: Ranking, shares: Mapping[str, Any], latency: float | None, example: Any, **settings: Any
) -> Plan:
    if latency is not None:
        return plan_for_latency(ranking, latency, example, **settings)
    return plan(ranking, **shares, **settings)


def _look(
    model: nn.Module,
    graph: Graph,
    method: methods.Method,
    data: Loader | None,
    limit: int,
    progress: Progress | None,
) -> Mapping[str, Tensor] | None:
    if method.look is None or data is None:
        return None
    return glances(
        model, graph.free, data, method.look, gradients=method.gradients, limit=limit, progress=progress
    )


def _recalibrate(small: nn.Module, data: Loader, calibrate: int, progress: Progress | None) -> None:
    recalibrate_(small, data, limit=calibrate, progress=progress)


def check_finite(model: nn.Module) -> None:
    """Raise an InputError where a parameter or buffer holds NaN or infinity.

    Example:
        >>> check_finite(nn.Linear(2, 2))
    """
    for name, tensor in named_tensors(model):
        if tensor.is_floating_point() and not bool(
            torch.isfinite(tensor.sum() if tensor.numel() else tensor).all()
        ):
            bad = int((~torch.isfinite(tensor)).sum())
            if bad:
                raise InputError(
                    f"model: '{name}' holds {bad} of {tensor.numel()} values that are NaN or infinite; prune a network "
                    "whose training did not diverge."
                )


def group_reports(graph: Graph, made: Plan) -> tuple[GroupReport, ...]:
    """One line a group, and one for every layer that belongs to none: nothing is skipped in silence."""
    by_layer = graph.costs.macs_by_layer()
    parameters = dict(graph.model.named_parameters())
    reports = []
    for group in graph.groups:
        params, macs = 0.0, 0.0
        for slot in group.slots_as(
            "producer"
        ):  # a layer that several groups share counts by its share in each
            owner, part = (
                slot.tensor.rpartition(".")[0],
                slot.positions.size / graph.shapes[slot.tensor][slot.axis],
            )
            params += part * sum(p.numel() for n, p in parameters.items() if n.rpartition(".")[0] == owner)
            macs += part * by_layer.get(owner, 0)
        kept = len(made.kept.get(group.name, range(group.size)))
        status = "locked" if group.locked else "pruned" if kept < group.size else "kept"
        reports.append(
            GroupReport(group.name, group.size, kept, status, group.locked, round(params), round(macs))
        )
    for name, reason in graph.untouched.items():
        owner, size = name.rpartition(".")[0], parameters[name].shape[0]
        numel = parameters[name].numel()
        reports.append(GroupReport(name, size, size, "locked", reason, numel, by_layer.get(owner, 0)))
    return tuple(reports)


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    from secateurs import __version__

    return {"secateurs": __version__, "torch": torch.__version__, "python": platform.python_version()}


def save(result: Result, path: str | Path) -> None:
    """Write the network of a result, with its plan, as one safetensors file; see `load`."""
    save_model(result.model, result.plan, path)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
