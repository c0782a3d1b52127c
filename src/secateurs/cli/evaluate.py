"""`secateurs evaluate`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secateurs.cli.console import note, say, table, write_json
from secateurs.cli.options import (
    BuiltBy,
    Device,
    Input,
    Json,
    Model,
    NeededData,
    Threads,
    Trust,
    Weights,
    quiet,
)
from secateurs.cli.progress import Bars

if TYPE_CHECKING:
    from secateurs.meters.accuracy import Accuracy

CLASSES = 60
"""More classes than this are in the JSON only, but for the lowest ten."""


def evaluate(
    model: Model,
    data: NeededData,
    weights: Weights = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="accuracy, class-accuracy, log-loss, map (mean average precision), or your own my_file.py:fn.",
        ),
    ] = "accuracy",
    input_shape: Input = None,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Accuracy, or another metric, on the whole test part with its standard error; parameters, MACs and latency."""
    from secateurs.cli.opening import opened
    from secateurs.cli.settings import metric_named
    from secateurs.cli.tables import measured
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.data import resolve_data
    from secateurs.meters.accuracy import evaluate as score
    from secateurs.meters.costs import count_costs
    from secateurs.meters.latency import measure_latency
    from secateurs.meters.named import metric_of
    from secateurs.runs.run import measures, timing

    chosen = metric_of(metric_named(metric))
    with Bars() as bars:
        source = opened(
            model, weights=weights, inputs=input_shape, device=device, built_by=built_by, trust=trust
        )
        splits = resolve_data(
            data,
            normalisation=source.normalisation,
            input_shape=source.sample_shape,
            network=source.spec,
        )
        source = source.fitted_to(splits)
        example = source.example()
        with worthwhile_threads(source.model, example, threads):
            with bars.working("latency"):
                latency = measure_latency(source.model, example)
            accuracy = score(source.model, splits.test, metric=chosen, progress=bars)
            found = measures(
                count_costs(source.model, example), latency, accuracy if chosen is None else None
            )
    for remark in splits.remarks:
        note(remark)
    if not source.trained:
        note(f"no --weights given, so {model} has random weights: its accuracy is that of chance")
    if as_json is not None:
        how = dataclasses.asdict(timing(latency))
        numbers = {"model": model, "data": data, **dataclasses.asdict(found), "latency": how}
        if chosen is not None:
            numbers["metric"] = _shown(accuracy, splits.classes)
        write_json(json.dumps(numbers, indent=2) + "\n", as_json)
    if not quiet(as_json):
        rows = list(measured(found))
        if chosen is not None:
            rows = [*rows, (accuracy.metric, str(accuracy)), *_rows(accuracy, splits.classes)]
        say(table(f"{model} on {data}", ("", ""), rows, left=2), f"latency: {timing(latency)}")


def _classes(accuracy: Accuracy, names: Sequence[str]) -> list[tuple[str, float | None]]:
    """What a metric is for each class, None where there is no sample of it."""
    return [
        (names[k] if k < len(names) else str(k), None if math.isnan(value) else value)
        for k, value in enumerate(accuracy.by_class)
    ]


def _shown(accuracy: Accuracy, names: Sequence[str]) -> dict[str, Any]:
    return {
        "name": accuracy.metric,
        "value": accuracy.value,
        "standard_error": accuracy.standard_error,
        "samples": accuracy.total,
        "by_class": dict(_classes(accuracy, names)),
    }


def _rows(accuracy: Accuracy, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    met = [(name, value) for name, value in _classes(accuracy, names) if value is not None]
    if len(met) > CLASSES:
        met = sorted(met, key=lambda one: one[1])[:10]
        yield "the lowest ten classes", ""
    for name, value in met:
        yield f"  {name}", f"{100 * value:.2f} %"
