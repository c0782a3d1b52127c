"""`secateurs evaluate`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secateurs.cli.console import note, say, table, write_json
from secateurs.cli.options import (
    Device,
    Input,
    Json,
    NeededData,
    Threads,
    Trust,
    Weights,
    quiet,
)
from secateurs.cli.progress import Bars
from secateurs.errors import InputError

if TYPE_CHECKING:
    from secateurs.meters.accuracy import Accuracy
    from secateurs.meters.scoring import Metric
    from secateurs.runs.source import Source

CLASSES = 60
"""More classes than this are in the JSON only, but for the lowest ten."""


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|DIR|FILE.onnx",
            help="A zoo name (resnet56), torchvision:NAME, timm:NAME, package.module:callable, an output DIR, or an "
            "ONNX file, float or int8.",
            show_default=False,
        ),
    ],
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
    built_by: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="SPEC",
            help="For a DIR: what builds its network, such as package.module:callable; runs that code. For an ONNX "
            "file: the network or DIR it was made of, whose normalisation and front end are taken.",
            show_default=False,
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Accuracy, or another metric, on the whole test part with its standard error; parameters, MACs and latency.

    An ONNX file is run by ONNX Runtime on the CPU: its accuracy or other metric, and its bytes. Under torchrun every
    process takes its part of the test samples; a file is run by the first alone.
    """
    from secateurs.cli.opening import opened
    from secateurs.cli.settings import metric_named
    from secateurs.meters.named import metric_of
    from secateurs.recover.processes import processes

    chosen = metric_of(metric_named(metric))
    found: _Found | None
    if Path(model).suffix == ".onnx" and not Path(model).is_dir():
        for option, given in (("--weights", weights), ("--input", input_shape)):
            if given is not None:
                raise InputError(
                    f"{option}: is for a network; {model} is an ONNX file, so leave the option out"
                )
        if device != "cpu":
            raise InputError(f"--device {device}: an ONNX file is run on the CPU; leave the option out")
        if processes()[0] > 0:
            return
        found = _of_file(Path(model), data, chosen, threads, built_by, trust)
    else:
        source = opened(
            model, weights=weights, inputs=input_shape, device=device, built_by=built_by, trust=trust
        )
        found = _of_network(source, data, chosen, threads)
        if found is None:
            return
        if not source.trained:
            note(f"no --weights given, so {model} has random weights: its accuracy is that of chance")
    accuracy = found.accuracy
    if as_json is not None:
        numbers = {"model": model, "data": data, **found.numbers}
        if chosen is not None:
            numbers["metric"] = _shown(accuracy, found.classes)
        write_json(json.dumps(numbers, indent=2) + "\n", as_json)
    if not quiet(as_json):
        rows = found.rows
        if chosen is not None:
            rows = [*rows, (accuracy.metric, str(accuracy)), *_rows(accuracy, found.classes)]
        say(table(f"{model} on {data}", ("", ""), rows, left=2), *found.below)


@dataclass(frozen=True)
class _Found:
    """What was found: the accuracy or other metric, and beside it what is written and shown."""

    accuracy: Accuracy
    classes: tuple[str, ...]
    numbers: dict[str, Any]
    rows: list[tuple[str, str]]
    below: tuple[str, ...] = ()


def _of_network(source: Source, data: str, chosen: Metric | None, threads: int | None) -> _Found | None:
    """What was found, which the first of several processes tells; None in the others."""
    from secateurs.cli.tables import measured
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.data import resolve_data
    from secateurs.meters.accuracy import evaluate as score
    from secateurs.meters.costs import count_costs
    from secateurs.meters.latency import measure_latency
    from secateurs.recover.processes import joined
    from secateurs.running.eval_mode import device_of
    from secateurs.runs.run import measures, timing

    with Bars() as bars:
        splits = resolve_data(
            data, normalisation=source.normalisation, input_shape=source.sample_shape, network=source.spec
        )
        source = source.fitted_to(splits)
        example = source.example()
        with (
            worthwhile_threads(source.model, example, threads),
            joined(device_of(source.model)) as (rank, world),
        ):
            accuracy = score(
                source.model,
                splits.test,
                metric=chosen,
                processes=world > 1,
                progress=bars if rank == 0 else None,
            )
            if rank > 0:
                return None
            with bars.working("latency"):
                latency = measure_latency(source.model, example)
            costs = count_costs(source.model, example)
    for remark in splits.remarks:
        note(remark)
    found = measures(costs, latency, accuracy if chosen is None else None)
    numbers = {**dataclasses.asdict(found), "latency": dataclasses.asdict(timing(latency))}
    return _Found(accuracy, splits.classes, numbers, list(measured(found)), (f"latency: {timing(latency)}",))


def _of_file(
    path: Path, data: str, chosen: Metric | None, threads: int | None, made_of: str | None, trust: bool
) -> _Found:
    from secateurs.cli.opening import opened
    from secateurs.cli.tables import measured_accuracy
    from secateurs.data import resolve_data
    from secateurs.export import OnnxNetwork
    from secateurs.meters.accuracy import evaluate as score

    network = OnnxNetwork(path, threads)
    of = None
    if made_of is not None:
        of = opened(made_of, weights=None, inputs=None, device="cpu", trust=trust)
    with Bars() as bars:
        splits = resolve_data(
            data,
            normalisation=None if of is None else of.normalisation,
            input_shape=network.sample_shape,
            network=None if of is None else of.spec,
        )
        accuracy = score(network, splits.test, metric=chosen, progress=bars)
    for remark in splits.remarks:
        note(remark)
    size = path.stat().st_size
    plain = chosen is None
    numbers = {
        "bytes": size,
        "accuracy": accuracy.value if plain else None,
        "accuracy_error": accuracy.standard_error if plain else None,
        "samples": accuracy.total if plain else None,
    }
    rows = [("bytes", f"{size:,}")]
    if plain:
        rows.append(measured_accuracy(accuracy.value, accuracy.standard_error, accuracy.total))
    return _Found(accuracy, splits.classes, numbers, rows)


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
