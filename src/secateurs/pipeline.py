"""prune(): trace, observe, rank, plan, remove, verify, compensate: the method on one page."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from secateurs import methods
from secateurs.allocate.sequence import Allocation
from secateurs.arguments import check_arguments, check_free
from secateurs.checks import check_kind
from secateurs.contracts import Loader, Progress
from secateurs.data.samples import about_samples
from secateurs.errors import InputError, VerificationError
from secateurs.graph import Graph, Tracer
from secateurs.graph.attribution import attribute
from secateurs.graph.framed import about_frames, framed, in_frames
from secateurs.graph.trace import Normalised
from secateurs.graph.values import retrace_by_values
from secateurs.latency import LatencyTarget, parted
from secateurs.planning import check_target, keep_of
from secateurs.recipe import Clock, Recipe, Wish
from secateurs.report.costs import Costs, count_costs
from secateurs.report.scoring import Metric
from secateurs.surgery import Plan, Verification, remove, verify
from secateurs.surgery.copies import copy_model
from secateurs.surgery.cut import named_tensors
from secateurs.surgery.files import save_model
from secateurs.surgery.folding import about_standardisation
from secateurs.surgery.frame import fold_frames

_TRIES = 12
_NO_GROUP = "is in no group: products of activations, and parameters of layers that stay whole"


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
    allocate: str = "uniform"
    compensate: str = "none"
    remarks: tuple[str, ...] = ()

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
        rows.extend(self.remarks)
        return "\n".join(rows)


def prune(
    model: nn.Module,
    example: Any,
    *,
    method: str | methods.Method | None = None,
    macs: float | None = None,
    params: float | None = None,
    keep: float | None = None,
    latency: LatencyTarget | None = None,
    accuracy_drop: float | None = None,
    data: Loader | None = None,
    holdout: Loader | None = None,
    metric: Metric | None = None,
    allocate: str | Allocation | None = None,
    compensate: str | None = None,
    recalibrate: bool = False,
    calibrate: int = 2048,
    round_to: int = 1,
    layers: Mapping[str, float] | None = None,
    frame: bool = False,
    normalised: Normalised = "lock",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Make a smaller network, prove it, and repair it.

    Without a method and with data, everything is at its strongest: `moments` decides which units leave,
    `sensitivity` from where, `least-squares` repairs. Without data it is `DATA_FREE`. A method that is
    named comes plain, uniform and unrepaired, as published, unless more is asked for.

    Args:
        model: Any trained module; it is left untouched.
        example: One input: a tensor, a tuple of inputs, or a dict of named ones; a list of several examples where the
            code takes other paths on some (sizes, optional inputs), the first of which counts for costs.
        method: A name from `methods.names()`, or a `Method`.
        macs: Share of the multiply-adds that stays, in (0, 1]. Give at most one target; without any, methods
            that have a ratio of their own use it.
        params: Share of the parameters that stays.
        keep: Share of the prunable units that stays.
        latency: Share of the latency at batch 1 that stays, measured here while planning and again of the finished
            network; or `(0.6, measure)`, where `measure(module)` returns the seconds that a network takes on
            your own device.
        accuracy_drop: As small as can be while accuracy on held-out samples (by their labels, or without any by the
            network's own decisions) falls by no more than so many points (hundredths), with 95 % confidence
            where the samples are enough to say so. The remarks give the drop measured and its upper bound.
        data: A little training data, unlabelled but for `accuracy_drop`, for methods and repairs that look at it.
        holdout: For `accuracy_drop`: samples to measure it on, best such as the network was not trained on. Without
            them, between a fifth and a half of `data` is held out: 2,165 samples for a drop of 1 point, half as
            many for one of 2, which are needed to tell it from noise.
        metric: For `accuracy_drop`: instead of accuracy, a function of all outputs (n, ...) and labels (n, ...) that
            returns a number, higher is better, where 0.01 is a point. Labels of zeros and ones in the outputs'
            shape (several labels a sample) need none: accuracy is then the share of right answers.
        allocate: "uniform", "global", "threshold", "sensitivity", "search", or an `Allocation`.
        compensate: How consumers are repaired: a name from `compensate.names()`.
        recalibrate: Estimate the batch-norm statistics anew on `data`.
        calibrate: At most this many samples of `data` are used.
        round_to: Groups keep a multiple of this many units.
        layers: Exceptions: groups whose name matches a pattern keep that share of their units.
        frame: Put the papers' identity 1x1 convolutions around each k x k one but the first, and remove only
            channels between them; they are folded away where that is cheaper.
        normalised: "lock" keeps channels that a LayerNorm, RMSNorm or one-group GroupNorm takes together;
            "recompute" lets them leave: the statistics are then those of what is left, another function than the
            silenced original, and the proof is made against one whose normalisations see the kept channels only.
        seed: Same seed, same plan.
        progress: Told of long stages.

    Returns:
        The smaller network with its plan, its proof and its costs.

    Raises:
        InputError: Bad arguments, weights that are not finite, data missing.
        CaptureError: The model does not run on the example.
        TargetError: The target cannot be reached; says which can. Or the finished network misses it as measured.
        RunError: The machine is too busy to measure latency.
        VerificationError: The smaller network is not the silenced original.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> result = prune(net, torch.zeros(1, 3, 8, 8), method="l1-norm", keep=0.5)
        >>> result.model[0].out_channels, result.verification.passed
        (4, True)
    """
    within, measure = parted(latency)
    shares = {
        "macs": macs,
        "params": params,
        "keep": keep,
        "latency": within,
        "accuracy_drop": accuracy_drop,
    }
    check_arguments(
        model,
        example,
        target=shares,
        method=method,
        data=data,
        allocate=allocate,
        compensate=compensate,
        recalibrate=recalibrate,
        calibrate=calibrate,
        round_to=round_to,
        layers=layers,
        frame=frame,
        seed=seed,
        progress=progress,
    )
    target, seed = check_target(shares), int(seed)
    recipe = Recipe.of(
        method,
        allocate,
        compensate,
        recalibrate,
        data,
        calibrate,
        seed,
        progress,
        accuracy_drop,
        holdout,
        metric,
    )
    check_finite(model)
    doubts = () if recipe.data is None else about_samples(recipe.data, example, calibrate)
    clock = Clock(progress)
    work = copy_model(model)  # whatever runs a network here, runs this one
    with clock("trace"):
        whole, names = in_frames(work, example) if frame else (work, ())
        tracer = Tracer(whole, example, normalised)
        graph = framed(tracer.graph(), names) if frame else tracer.graph()
    check_free(graph)
    with clock("costs"):
        before = count_costs(model, example, around=tracer.around)
    for _ in range(_TRIES):
        ranking, allocation = recipe.ranked(graph, clock)
        with clock("plan"):
            wish = Wish(target, allocation, round_to, layers, measure)
            made = recipe.planned(ranking, wish, example)
        with clock("remove"):
            small = remove(model, made.unfolded())
        with clock("verify"):
            stays = keep_of(made)
            silenced, kept = graph.silenced(stays), graph.slices(stays)
            verification = verify(whole, small, silenced, example, kept=kept, seed=seed, around=tracer.around)
            found = None if verification.passed else retrace_by_values(tracer, stays)
        if found is None:
            break
        # Code that computes with the number of channels: what it touches is locked now.
        graph = framed(found, names) if frame else found
    if not verification.passed:
        raise VerificationError(f"{verification}. Nothing was written; please report this network.")
    small, made, remarks = recipe.repaired(model, small, graph, made, clock)
    if verification.against:
        remarks = (*remarks, f"proven {verification.against}: their statistics are recomputed")
    if frame:
        small, remarks = fold_frames(small, made.folds), (*remarks, about_frames(names, made.folds))
    with clock("check"):
        remarks = (*remarks, *recipe.checked(model, small, wish, example))
    remarks = (*about_standardisation(graph.plain), *remarks)
    with clock("costs"):
        after = count_costs(small, example, around=tracer.around)
    as_trained(small, model)
    return Result(
        model=small,
        plan=made,
        verification=verification,
        method=recipe.method.name,
        target=dict(made.target),
        before=before,
        after=after,
        groups=group_reports(graph, made),
        seconds=clock.seconds,
        seed=seed,
        versions=versions(),
        allocate=recipe.allocate
        if isinstance(recipe.allocate, str)
        else type(recipe.allocate).__name__.lower(),
        compensate=recipe.compensate,
        remarks=(*graph.notes, *doubts, *remarks),
    )


def as_trained(small: nn.Module, model: nn.Module) -> None:
    """Give every module the mode its original has; modules that were added follow the whole model."""
    modes = {name: module.training for name, module in model.named_modules(remove_duplicate=False)}
    for name, module in small.named_modules(remove_duplicate=False):
        module.training = modes.get(name, model.training)


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
    """One line a group, and one for every layer that belongs to none; their costs add up to the network's."""
    spent = attribute(graph)
    reports = []
    for group in graph.groups:
        own = spent.groups[group.name]
        kept = len(made.kept.get(group.name, range(group.size)))
        status = "locked" if group.locked else "pruned" if kept < group.size else "kept"
        reports.append(GroupReport(group.name, group.size, kept, status, group.locked, own.params, own.macs))
    for name, own in spent.others.items():
        if name in graph.untouched or own.params or own.macs:
            size = graph.shapes[name][0] if name in graph.shapes else 0
            reason = graph.untouched.get(name, _NO_GROUP)
            reports.append(GroupReport(name, size, size, "locked", reason, own.params, own.macs))
    return tuple(reports)


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    from secateurs import __version__

    return {"secateurs": __version__, "torch": torch.__version__, "python": platform.python_version()}


def save(result: Result, path: str | Path) -> None:
    """Write the network of a result, with its plan, as one safetensors file; see `load`.

    Raises:
        InputError: `result` is none, or nothing can be written at `path`.
    """
    check_kind("result", result, Result, "what secateurs.prune returns")
    save_model(result.model, result.plan, path)
