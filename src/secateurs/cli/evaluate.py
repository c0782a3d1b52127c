"""`secateurs evaluate`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from secateurs.cli.console import note, say, table, write_json
from secateurs.cli.options import BuiltBy, Device, Input, Json, Model, Threads, Trust, Weights, quiet
from secateurs.cli.progress import Bars


def evaluate(
    model: Model,
    data: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="digits, cifar10:PATH, imagefolder:PATH, esc50:PATH and other sound, or package.module:callable.",
            show_default=False,
        ),
    ],
    weights: Weights = None,
    input_shape: Input = None,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Accuracy on the whole test part with its standard error, parameters, MACs and latency."""
    from secateurs.cli.opening import opened
    from secateurs.cli.tables import measured
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.data import resolve_data
    from secateurs.meters.accuracy import evaluate as score
    from secateurs.meters.costs import count_costs
    from secateurs.meters.latency import measure_latency
    from secateurs.runs.run import measures, timing

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
            accuracy = score(source.model, splits.test, progress=bars)
            found = measures(count_costs(source.model, example), latency, accuracy)
    for remark in splits.remarks:
        note(remark)
    if not source.trained:
        note(f"no --weights given, so {model} has random weights: its accuracy is that of chance")
    if as_json is not None:
        how = dataclasses.asdict(timing(latency))
        numbers = {"model": model, "data": data, **dataclasses.asdict(found), "latency": how}
        write_json(json.dumps(numbers, indent=2) + "\n", as_json)
    if not quiet(as_json):
        rows = list(measured(found))
        say(table(f"{model} on {data}", ("", ""), rows, left=2), f"latency: {timing(latency)}")
