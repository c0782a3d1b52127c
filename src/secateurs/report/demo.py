"""The demonstration: train a small network on digits, prune it in several ways, compare them fairly."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from secateurs.contracts import Progress
from secateurs.data import DataSource, batches, resolve_data
from secateurs.report.accuracy import evaluate
from secateurs.report.run import Run, Settings, run
from secateurs.report.source import Source
from secateurs.zoo import build, entry

NETWORK = "digits_cnn"
METHODS = ("random", "l1-norm", "l2-norm", "geometric-median", "similarity")
EPOCHS = 12


@dataclass(frozen=True)
class Row:
    """One method at the demo's target: test accuracy as removal left it, and with batch norm measured anew.

    `held_out` is the accuracy on training samples that neither training nor recalibration saw: the one number
    that may choose among methods.
    """

    method: str
    plain: float
    recalibrated: float
    held_out: float


@dataclass(frozen=True)
class Demo:
    """What the demo found: the network's own accuracy, a row per method, and the whole run of the best."""

    accuracy: float
    accuracy_error: float
    samples: int
    rows: tuple[Row, ...]
    best: Row
    run: Run


def demo(
    *, macs: float = 0.5, methods: Sequence[str] = METHODS, seed: int = 0, progress: Progress | None = None
) -> Demo:
    """Train the digits network in seconds, prune it with several methods, keep the best.

    The best is chosen by held-out training accuracy, never on the test set.

    Args:
        macs: Share of the multiply-adds that stays.
        methods: The methods to compare.
        seed: Of the weights, the order of the samples and the calibration.
        progress: Told of every stage.

    Returns:
        All numbers, and the run of the best method with its model and plan.
    """
    from secateurs.pipeline import prune
    from secateurs.recover.recalibrate import recalibrate_

    data = resolve_data("digits")
    source = trained(data, seed, progress)
    example = source.example(seed)
    rows = []
    for i, method in enumerate(methods):
        small = prune(source.model, example, method=method, macs=macs, seed=seed).model
        repaired = copy.deepcopy(small)
        recalibrate_(repaired, data.calibration(10_000, seed))
        held_out = evaluate(repaired, data.holdout(10_000, seed)).value
        plain, recalibrated = (evaluate(model, data.test).value for model in (small, repaired))
        rows.append(Row(method, plain, recalibrated, held_out))
        if progress is not None:
            progress("pruning", i + 1, len(methods))
    best = max(rows, key=lambda row: row.held_out)
    settings = Settings(best.method, {"macs": macs}, recalibrate=True, calibrate=10_000, seed=seed)
    done = run(source, data, settings, data_spec="digits", progress=progress)
    own = evaluate(source.model, data.test)
    return Demo(own.value, own.standard_error, own.total, tuple(rows), best, done)


def trained(data: DataSource, seed: int, progress: Progress | None = None) -> Source:
    """The digits network, trained on the training samples that are not held out."""
    from secateurs.recover.train import train_

    (inputs,), labels = next(batches(data.calibration(10_000, seed), 10_000))
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
