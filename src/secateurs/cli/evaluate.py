"""`secateurs evaluate`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from secateurs.cli.console import Bars, note, say, table, write_json
from secateurs.cli.options import BuiltBy, Input, Json, Model, Trust, Weights, shape
from secateurs.cli.tables import measured


def evaluate(
    model: Model,
    data: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="digits, cifar10:PATH, imagefolder:PATH, or package.module:callable.",
            show_default=False,
        ),
    ],
    weights: Weights = None,
    input_shape: Input = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Accuracy on the whole test part with its standard error, parameters, MACs and latency."""
    from secateurs.data import resolve_data
    from secateurs.report.accuracy import evaluate as score
    from secateurs.report.costs import count_costs
    from secateurs.report.latency import measure_latency
    from secateurs.report.run import measures, timing
    from secateurs.report.source import open_source

    with Bars() as bars:
        source = open_source(
            model, weights=weights, input_shape=shape(input_shape), built_by=built_by, trust=trust
        )
        splits = resolve_data(data, normalisation=source.normalisation, input_shape=source.sample_shape)
        source = source.fitted_to(splits)
        example = source.example()
        latency = measure_latency(source.model, example)
        accuracy = score(source.model, splits.test, progress=bars)
        found = measures(count_costs(source.model, example), latency, accuracy)
    if not source.trained:
        note(f"no --weights given, so {model} has random weights: its accuracy is that of chance")
    if as_json is not None:
        how = dataclasses.asdict(timing(latency))
        numbers = {"model": model, "data": data, **dataclasses.asdict(found), "latency": how}
        write_json(json.dumps(numbers, indent=2) + "\n", as_json)
    if as_json is None or str(as_json) != "-":
        rows = list(measured(found))
        say(table(f"{model} on {data}", ("", ""), rows, left=2), f"latency: {timing(latency)}")
