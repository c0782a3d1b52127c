"""The demonstration: prune a small network for digits in several ways and compare them fairly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from secateurs.config import PruneConfig
from secateurs.contracts import Progress
from secateurs.data import DataSource, resolve_data
from secateurs.meters.accuracy import evaluate
from secateurs.pipeline import Result
from secateurs.recover.recalibrate import recalibrate_
from secateurs.report.record import Compared
from secateurs.runs.run import Run, pruned, recorded
from secateurs.runs.source import Source
from secateurs.zoo import entry
from secateurs.zoo.digits import trained_digits_cnn

NETWORK = "trained_digits_cnn"
METHODS = ("random", "l1-norm", "l2-norm", "geometric-median", "similarity")
CALIBRATION = 512
"""Training samples that methods and repairs may look at."""
ALL = 10_000
"""More samples than there are digits."""


@dataclass(frozen=True)
class Way:
    """One way to the demo's target: what was asked, what came of it, and its row in the comparison."""

    settings: PruneConfig
    result: Result
    row: Compared


@dataclass(frozen=True)
class Demo:
    """What the demo found: the network's own accuracy, a row per way, and the whole run of the best."""

    accuracy: float
    accuracy_error: float
    samples: int
    rows: tuple[Compared, ...]
    best: Compared
    run: Run


def demo(
    *,
    macs: float = 0.5,
    methods: Sequence[str] = METHODS,
    seed: int = 0,
    source: Source | None = None,
    progress: Progress | None = None,
) -> Demo:
    """Prune the digits network that comes with the package in several ways, and keep the best.

    The named methods come plain and get their batch-norm statistics measured anew; the last way is what `prune`
    does with data where nothing is named, repair included. The best is chosen by held-out training accuracy, never
    on the test set.

    Args:
        macs: Share of the multiply-adds that stays.
        methods: The methods to compare, besides what `prune` does where none is named.
        seed: Of the methods that draw and of the order of the calibration samples.
        source: The network, where it is not `trained()`.
        progress: Told of every stage.

    Returns:
        All numbers, and the run of the best way with its model and plan.
    """
    data = resolve_data("digits")
    source = source or trained()
    plain = PruneConfig(macs=macs, calibrate=CALIBRATION, seed=seed)
    ways = []
    for i, method in enumerate(methods):
        if progress is not None:
            progress("published methods", i, len(methods))
        ways.append(_named(source, data, replace(plain, method=method, recalibrate=True)))
    if progress is not None and methods:
        progress("published methods", len(methods), len(methods))
    ways.append(_strongest(source, data, plain, progress))
    best = max(ways, key=lambda way: way.row.held_out)
    rows = tuple(replace(way.row, chosen=way is best) for way in ways)
    done = recorded(source, data, best.settings, best.result, data_spec="digits", progress=progress)
    own = done.record.before
    done = replace(done, record=replace(done.record, comparison=rows))
    chosen = replace(best.row, chosen=True)
    return Demo(own.accuracy or 0.0, own.accuracy_error or 0.0, own.samples or 0, rows, chosen, done)


def trained(device: str | torch.device = "cpu") -> Source:
    """The trained digits network of the package, on a device.

    Example:
        >>> trained().input_shape
        (1, 1, 8, 8)
    """
    known = entry(NETWORK)
    model = trained_digits_cnn().to(device)
    return Source(NETWORK, model, (1, *known.input_shape), known.normalisation)


def _named(source: Source, data: DataSource, settings: PruneConfig) -> Way:
    """A method as published, and then with its batch-norm statistics measured anew."""
    result = pruned(source, data, replace(settings, recalibrate=False))
    plain = evaluate(result.model, data.test).value
    recalibrate_(result.model, data.calibration(settings.calibrate, settings.seed))
    return _way(result, data, settings, "batch norm recalibrated", plain)


def _strongest(source: Source, data: DataSource, settings: PruneConfig, progress: Progress | None) -> Way:
    """What `prune` chooses by itself where it has data."""
    result = pruned(source, data, settings, progress=progress)
    return _way(result, data, settings, f"{result.allocate}, {result.compensate}", None)


def _way(result: Result, data: DataSource, settings: PruneConfig, repair: str, plain: float | None) -> Way:
    held_out = evaluate(result.model, data.holdout(ALL, settings.seed)).value
    repaired = evaluate(result.model, data.test).value
    return Way(settings, result, Compared(result.method, repair, plain, repaired, held_out, False))
