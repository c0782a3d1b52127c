"""prune(): trace, observe, rank, plan, remove, verify, compensate: the method on one page."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from secateurs.arguments import check_data_kind, check_free, check_network
from secateurs.checks import check_callable, check_kind, shown
from secateurs.compensate import name_of
from secateurs.config import PruneConfig
from secateurs.contracts import Example, Loader, Progress
from secateurs.cutting import Cut, Traced, finished, proven, within_budgets
from secateurs.data.samples import about_samples
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.graph.attribution import attribute
from secateurs.layers.standardised import about_standardisation
from secateurs.layers.tensors import named_tensors
from secateurs.meters.costs import Costs, count_costs
from secateurs.planning import about_ranking
from secateurs.plans import keep_of
from secateurs.recipe import Clock, Recipe
from secateurs.signature import taking
from secateurs.surgery import Plan, Verification
from secateurs.surgery.files import save_model
from secateurs.targets import Attempt, Budgeted, Budgets, Target
from secateurs.targets.budgets import within
from secateurs.version import __version__

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
    """The smaller network and everything there is to say about it; prints as a table.

    `peaks` are the elements of activations that are alive at once, before and after (see `ActivationMemory`); None in
    frames. `budgets` is what came of each, where several were asked for or one that is no share.
    """

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
    peaks: tuple[int, int] | None = None
    budgets: tuple[Budgeted, ...] = ()
    config: PruneConfig = field(default_factory=PruneConfig)

    def __str__(self) -> str:
        rows = [
            f"{self.method}: " + (", ".join(f"{k} {v:,g}" for k, v in self.target.items()) or "own ratio"),
            f"{'':12} {'before':>16} {'after':>16} {'stays':>8}",
        ]
        for name in ("params", "macs"):
            before, after = getattr(self.before, name), getattr(self.after, name)
            rows.append(f"{name:12} {before:16,d} {after:16,d} {after / max(before, 1):8.1%}")
        if self.peaks is not None:
            before, after = self.peaks
            rows.append(f"{'peak at int8':12} {before:16,d} {after:16,d} {after / max(before, 1):8.1%}")
        if self.budgets:
            rows.append(within(self.config.budget or "", self.budgets))
        locked = [g for g in self.groups if g.status == "locked"]
        pruned = sum(g.status == "pruned" for g in self.groups)
        rows.append(f"{pruned} of {len(self.groups)} groups pruned, {len(locked)} locked")
        rows.extend(f"  {g.name}: {g.reason}" for g in locked)
        rows.append(str(self.verification))
        rows.extend(self.remarks)
        return "\n".join(rows)


@dataclass(frozen=True, kw_only=True, repr=False)
class Given(PruneConfig):
    """What `prune` takes by name: the settings of a `PruneConfig`, one as a whole, and what no file can hold.

    Attributes:
        config: Settings to begin with; those given by name take their place.
        data: A little training data, unlabelled but for `accuracy_drop`, for methods and repairs that look at it.
        holdout: For `accuracy_drop`: samples to measure it on, best such as the network was not trained on. Without
            them, between a fifth and a half of `data` is held out: 2,165 samples for a drop of 1 point, half as
            many for one of 2, which are needed to tell it from noise.
        progress: Told of long stages.
    """

    config: PruneConfig | None = None
    data: Loader | None = None
    holdout: Loader | None = None
    progress: Progress | None = None


@taking(Given)
def prune(model: nn.Module, example: Example, /, **asked: Any) -> Result:
    """Make a smaller network, prove it, and repair it.

    Without a method and with data, everything is at its strongest: `moments` decides which units leave,
    `sensitivity` from where, `least-squares` repairs. Without data it is `DATA_FREE`. A method that is
    named comes plain, uniform and unrepaired, as published, unless more is asked for.

    Args:
        model: Any trained module; it is left untouched.
        example: One input: a tensor, a tuple of inputs, or a dict of named ones; a list of several examples where the
            code takes other paths on some (sizes, optional inputs), the first of which counts for costs.
        **asked: The settings of `PruneConfig`, by name; `config` for one as a whole; `data`, `holdout` and
            `progress`, see `Given`.

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
    given = {name: asked.pop(name, None) for name in ("config", "data", "holdout", "progress")}
    recipe = _recipe(model, example, asked, given)
    config = recipe.config
    doubts: tuple[str, ...] = ()
    if recipe.data is not None:
        doubts = about_samples(recipe.data, example, config.calibrate)
    clock = Clock(recipe.progress)
    with clock("trace"):
        traced = Traced.of(model, example, config.normalised, recipe.frame)
        graph = traced.left_to(recipe.method)
    check_free(graph)
    with clock("costs"):
        before = count_costs(model, example, around=traced.tracer.around)
    cut = proven(recipe, traced, clock)
    small, made, remarks = finished(recipe, traced, cut, clock)
    budgets: tuple[Budgeted, ...] = ()
    if isinstance(recipe.target, Budgets):
        cut, (small, made, remarks), budgets = within_budgets(
            recipe, traced, cut, (small, made, remarks), clock
        )
    with clock("check"):
        remarks = (*remarks, *_remarks(recipe.target, cut.attempt, small))
    with clock("costs"):
        after = count_costs(small, example, around=traced.tracer.around)
    as_trained(small, model)
    return Result(
        model=small,
        plan=made,
        verification=cut.verification,
        method=recipe.method.name,
        target=dict(made.target),
        before=before,
        after=after,
        groups=group_reports(cut.graph, made),
        seconds=clock.seconds,
        seed=recipe.seed,
        versions=versions(),
        allocate=name_of(recipe.allocation),
        compensate=name_of(recipe.repair),
        remarks=(
            *graph.notes,
            *doubts,
            *about_standardisation(cut.graph.plain),
            *about_ranking(cut.attempt.ranking),
            *cut.attempt.remarks,
            *remarks,
        ),
        config=config,
        peaks=_peaks(cut),
        budgets=budgets,
    )


def _peaks(cut: Cut) -> tuple[int, int] | None:
    """Elements of activations alive at once, before and after."""
    memory = cut.graph.memory
    if memory is None:
        return None
    return memory.peak(), memory.peak(cut.graph.counts(keep_of(cut.plan)))


def _recipe(model: Any, example: Any, settings: dict[str, Any], given: dict[str, Any]) -> Recipe:
    """The parts of a run from all that `prune` was given, checked before anything is run."""
    if given["config"] is not None:
        check_kind("config", given["config"], PruneConfig, "a secateurs.PruneConfig")
    config = (given.pop("config") or PruneConfig()).changed(**settings)
    check_network(model, example)
    if given["data"] is not None:
        check_data_kind(given["data"])
    if given["progress"] is not None:
        check_callable(
            "progress", given["progress"], "a function of a stage, the steps done, and their number"
        )
    recipe = Recipe.of(config, **given)
    check_finite(model)
    return recipe


def _remarks(target: Target | None, attempt: Attempt, small: nn.Module) -> tuple[str, ...]:
    found: Any = () if target is None else target.remarks(attempt, small)
    if not isinstance(found, (tuple, list)) or not all(isinstance(remark, str) for remark in found):
        raise InputError(f"target: its remarks are {shown(found)}; return a tuple of sentences.")
    return tuple(found)


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
    return {"secateurs": __version__, "torch": torch.__version__, "python": platform.python_version()}


def save(result: Result, path: str | Path) -> None:
    """Write the network of a result, with its plan, as one safetensors file; see `load`.

    Raises:
        InputError: `result` is none, or nothing can be written at `path`.
    """
    check_kind("result", result, Result, "what secateurs.prune returns")
    save_model(result.model, result.plan, path)
