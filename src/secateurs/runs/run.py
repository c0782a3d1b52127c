"""One whole run: prune, prove, measure before and after, and put it on record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.config import PruneConfig
from secateurs.contracts import Progress
from secateurs.data import DataSource
from secateurs.meters.accuracy import Accuracy, evaluate
from secateurs.meters.costs import Costs
from secateurs.meters.latency import Latency, compare_latency
from secateurs.meters.paired import samples_for
from secateurs.meters.scoring import Metric
from secateurs.pipeline import Result, prune
from secateurs.report.record import Measures, Record, Timing
from secateurs.running.eval_mode import evaluation
from secateurs.runs.source import Source, normalisation_record
from secateurs.surgery import Plan

ON_TEST = "of the test part:"


@dataclass(frozen=True)
class Run:
    """What came of a run: the smaller network, the plan from the unpruned one, and the numbers."""

    model: nn.Module
    plan: Plan
    record: Record


def run(
    source: Source,
    data: DataSource | None,
    config: PruneConfig,
    *,
    data_spec: str | None = None,
    asked: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Prune `source`, measure it before and after, and put everything on record.

    Calibration sees training samples only, drawn with the seed; accuracy is of the whole test part.

    Args:
        source: The network.
        data: Training and test part; None for methods that need no data, and then no accuracy.
        config: What was asked.
        data_spec: How the user named the data, for the record.
        asked: The whole of what was asked, for the record; see `Record.asked`.
        progress: Told of long stages.

    Raises:
        SecateursError: As `secateurs.prune` and the measuring functions.
    """
    result = pruned(source, data, config, progress=progress)
    return recorded(source, data, config, result, data_spec=data_spec, asked=asked, progress=progress)


def pruned(
    source: Source, data: DataSource | None, config: PruneConfig, *, progress: Progress | None = None
) -> Result:
    """Call `secateurs.prune` as a config says; arguments and errors are those of `run`."""
    holdout = None
    if data is not None and config.accuracy_drop is not None:  # samples that calibration never sees
        holdout = data.holdout(samples_for(max(config.accuracy_drop, 0.1)), config.seed)
    return prune(
        source.model,
        source.example(config.seed),
        config=config,
        data=None if data is None else data.calibration(config.calibrate, config.seed),
        holdout=holdout,
        progress=progress,
    )


def recorded(
    source: Source,
    data: DataSource | None,
    config: PruneConfig,
    result: Result,
    *,
    data_spec: str | None = None,
    asked: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Measure a network before and after `pruned`, and put everything on record.

    Args:
        source: The network before.
        data: Its test part is what accuracy is measured on; None for no accuracy.
        config: What was asked.
        result: What `pruned` returned for them.
        data_spec: How the user named the data, for the record.
        asked: The whole of what was asked, for the record; see `Record.asked`.
        progress: Told of the evaluations.
    """
    example = source.example(config.seed)
    start = time.perf_counter()
    # Turn and turn about, so that a machine that slows down slows both.
    old, new = compare_latency([source.model, result.model], example)
    scores = [
        None if data is None else evaluate(model, data.test, progress=_named(progress, when))
        for model, when in ((source.model, "before"), (result.model, "after"))
    ]
    peaks = result.peaks or (None, None)
    before = measures(result.before, old, scores[0], peaks[0])
    after = measures(result.after, new, scores[1], peaks[1])
    seconds = {**result.seconds, "measure": time.perf_counter() - start}
    remarks = (*result.remarks, *(() if data is None else (*data.remarks, *fewer_classes(source, data))))
    if data is not None and config.metric is not None:
        remarks = (*remarks, _by_metric(source.model, result.model, data, config.metric))
    record = _record(
        source, config, data_spec, asked, result, before, after, timing(old, new), seconds, remarks
    )
    plan = result.plan if source.plan is None else source.plan.then(result.plan)
    return Run(result.model, plan, record)


def fewer_classes(source: Source, data: DataSource) -> tuple[str, ...]:
    """A word where the data have fewer classes than the network tells apart: labels may then be of others."""
    if len(data.classes) < 2:
        return ()
    given = source.example()
    with evaluation(source.model), torch.inference_mode():
        found: object = source.model(*([given] if isinstance(given, Tensor) else given))
    scores = found.shape[1] if isinstance(found, Tensor) and found.dim() == 2 else 0
    if len(data.classes) >= scores:
        return ()
    names = f"{data.classes[0]}, {data.classes[1]}, ..."
    return (
        f"the network gives {scores:,} scores and the data have {len(data.classes):,} classes ({names}): accuracy "
        "takes them for its first. Where they are others, it says nothing of the network; what the removal and the "
        "repair look at needs no labels.",
    )


def measures(costs: Costs, latency: Latency, accuracy: Accuracy | None, peak: int | None = None) -> Measures:
    """One network in numbers, from what was measured of it."""
    return Measures(
        params=costs.params,
        macs=costs.macs,
        accuracy=None if accuracy is None else accuracy.value,
        accuracy_error=None if accuracy is None else accuracy.standard_error,
        samples=None if accuracy is None else accuracy.total,
        latency_ms=latency.best_ms,
        latency_spread_ms=latency.spread_ms,
        latency_one_thread_ms=latency.one_thread_ms,
        uncounted=dict(costs.uncounted),
        peak_elements=peak,
    )


def timing(*latencies: Latency) -> Timing:
    """How latencies were measured, in turns, and why one of them could not be."""
    first = latencies[0]
    reason = next((latency.reason for latency in latencies if latency.reason), None)
    return Timing(1, first.warmup, first.runs, first.device, first.threads, reason)


def _by_metric(old: nn.Module, new: nn.Module, data: DataSource, metric: str | Metric) -> str:
    """The metric of a floor on the test part, before and after."""
    before, after = (evaluate(model, data.test, metric=metric) for model in (old, new))
    return f"{before.metric} {ON_TEST} {before} before, {after} after."


def _named(progress: Progress | None, when: str) -> Progress | None:
    """Two networks are evaluated one after the other, each with a bar of its own."""
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"{stage} {when}", done, total)


def _record(
    source: Source,
    config: PruneConfig,
    data_spec: str | None,
    asked: Mapping[str, Any] | None,
    result: Result,
    before: Measures,
    after: Measures,
    how: Timing,
    seconds: Mapping[str, float],
    remarks: tuple[str, ...],
) -> Record:
    return Record(
        model=source.spec,
        input_shape=source.input_shape or (),
        more_inputs=source.more_inputs,
        data=data_spec,
        normalisation=normalisation_record(source.normalisation),
        method=result.method,
        allocate=result.allocate,
        compensate=result.compensate,
        recalibrated=config.recalibrate,
        target=dict(result.target),
        before=before,
        after=after,
        original=source.original or before,
        latency=how,
        verification=result.verification,
        groups=result.groups,
        seconds={stage: round(value, 3) for stage, value in seconds.items()},
        seed=result.seed,
        versions=dict(result.versions),
        remarks=remarks,
        asked=asked,
        budgets=result.budgets,
        budget=config.budget,
    )
