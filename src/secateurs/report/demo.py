"""The demonstration: train a small network on digits, prune it in several ways, compare them fairly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from secateurs.contracts import Progress
from secateurs.data import DataSource, batches, resolve_data
from secateurs.report.accuracy import evaluate
from secateurs.report.run import Run, Settings, run
from secateurs.report.source import Source
from secateurs.zoo import build, entry

if TYPE_CHECKING:
    from secateurs.pipeline import Result

NETWORK = "digits_cnn"
METHODS = ("random", "l1-norm", "l2-norm", "geometric-median", "similarity")
EPOCHS = 12
ALL = 10_000
"""More samples than there are digits."""


@dataclass(frozen=True)
class Row:
    """One way to the demo's target: test accuracy as removal left the network, and after its repair.

    The named methods come plain and get their batch-norm statistics measured anew; the last row is what `prune`
    does with data where nothing is named, repair included, so it has no `plain`. `held_out` is the accuracy on
    training samples that neither training nor repair saw: the one number that may choose among the rows.
    """

    method: str
    repair: str
    plain: float | None
    repaired: float
    held_out: float
    settings: Settings


@dataclass(frozen=True)
class Demo:
    """What the demo found: the network's own accuracy, a row per way, and the whole run of the best."""

    accuracy: float
    accuracy_error: float
    samples: int
    rows: tuple[Row, ...]
    best: Row
    run: Run


def demo(
    *, macs: float = 0.5, methods: Sequence[str] = METHODS, seed: int = 0, progress: Progress | None = None
) -> Demo:
    """Train the digits network in seconds, prune it in several ways, keep the best.

    The best is chosen by held-out training accuracy, never on the test set.

    Args:
        macs: Share of the multiply-adds that stays.
        methods: The methods to compare, besides what `prune` does where none is named.
        seed: Of the weights, the order of the samples and the calibration.
        progress: Told of every stage.

    Returns:
        All numbers, and the run of the best way with its model and plan.
    """
    data = resolve_data("digits")
    source = trained(data, seed, progress)
    plain = Settings(target={"macs": macs}, calibrate=ALL, seed=seed)
    rows = []
    for i, method in enumerate(methods):
        rows.append(_named(source, data, replace(plain, method=method, recalibrate=True)))
        if progress is not None:
            progress("pruning", i + 1, len(methods))
    rows.append(_strongest(source, data, plain, progress))
    best = max(rows, key=lambda row: row.held_out)
    done = run(source, data, best.settings, data_spec="digits", progress=progress)
    own = evaluate(source.model, data.test)
    return Demo(own.value, own.standard_error, own.total, tuple(rows), best, done)


def _named(source: Source, data: DataSource, settings: Settings) -> Row:
    """A method as published, and then with its batch-norm statistics measured anew."""
    from secateurs.recover.recalibrate import recalibrate_

    result = _pruned(source, data, replace(settings, recalibrate=False))
    plain = evaluate(result.model, data.test).value
    recalibrate_(result.model, data.calibration(ALL, settings.seed))
    return _row(result, data, settings, "batch norm recalibrated", plain)


def _strongest(source: Source, data: DataSource, settings: Settings, progress: Progress | None) -> Row:
    """What `prune` chooses by itself where it has data."""
    result = _pruned(source, data, settings, progress)
    return _row(result, data, settings, f"{result.allocate}, {result.compensate}", None)


def _pruned(source: Source, data: DataSource, settings: Settings, progress: Progress | None = None) -> Result:
    from secateurs.pipeline import prune

    return prune(
        source.model,
        source.example(settings.seed),
        method=settings.method,
        macs=settings.target["macs"],
        data=data.calibration(ALL, settings.seed),
        calibrate=ALL,
        seed=settings.seed,
        progress=progress,
    )


def _row(result: Result, data: DataSource, settings: Settings, repair: str, plain: float | None) -> Row:
    held_out = evaluate(result.model, data.holdout(ALL, settings.seed)).value
    repaired = evaluate(result.model, data.test).value
    return Row(result.method, repair, plain, repaired, held_out, settings)


def trained(data: DataSource, seed: int, progress: Progress | None = None) -> Source:
    """The digits network, trained on the training samples that are not held out."""
    from secateurs.recover.train import train_

    (inputs,), labels = next(batches(data.calibration(ALL, seed), ALL))
    if labels is None:
        raise ValueError("digits come with labels")
    model = _fresh(seed)
    train_(model, inputs, labels, epochs=EPOCHS, seed=seed, progress=progress)
    known = entry(NETWORK)
    return Source(NETWORK, model, (1, *known.input_shape), known.normalisation)


def _fresh(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return build(NETWORK)
