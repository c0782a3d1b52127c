"""`secateurs export`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secateurs.cli.console import note, say, write_json
from secateurs.cli.options import BuiltBy, Device, Input, Json, Model, Trust, Weights, quiet
from secateurs.cli.progress import Bars
from secateurs.errors import InputError

if TYPE_CHECKING:
    from secateurs.runs.source import Source


def export(
    model: Model,
    onnx: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The ONNX file to write; must not exist.", show_default=False),
    ],
    weights: Weights = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Also write FILE in int8, as NAME.int8.onnx, and what it loses, as NAME.int8.json."
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="With --int8: data to calibrate on (training part, unlabelled) and to test with.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--int8-samples", min=1, help="Calibration samples, at most.")
    ] = 256,
    method: Annotated[
        str, typer.Option("--int8-method", help="Ranges of the maps: minmax, entropy or percentile.")
    ] = "minmax",
    activations: Annotated[
        str, typer.Option("--int8-activations", help="uint8, fast on x86, or int8, symmetric, for ARM.")
    ] = "uint8",
    most_error: Annotated[
        float | None,
        typer.Option(
            "--int8-error",
            metavar="SHARE",
            help="Leave layers in float until scores differ by no more than this share (0.05).",
            show_default=False,
        ),
    ] = None,
    reduce_range: Annotated[
        bool, typer.Option("--int8-reduce-range", help="Weights of 7 bits, for x86 CPUs without VNNI.")
    ] = False,
    input_shape: Input = None,
    device: Device = "cpu",
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Write a network as ONNX with a free batch size, and compare it in ONNX Runtime before saying so."""
    from secateurs.cli.opening import opened
    from secateurs.export import Int8Options, about_widths, export_onnx, require_onnx

    if not onnx.name:
        raise InputError(f"{onnx}: is a folder; name a file in it")
    small, record = onnx.with_suffix(".int8.onnx"), onnx.with_suffix(".int8.json")
    for path in (onnx, *((small, record) if int8 else ())):
        if path.exists():
            raise InputError(f"{path}: exists already; choose another name or remove it")
    if int8 != (data is not None):
        raise InputError(
            "--int8 needs data to calibrate on: add --data SPEC"
            if int8
            else "--data is for --int8: add --int8, or leave --data out"
        )
    options = Int8Options(
        samples=samples,
        method=method,
        activations=activations,
        reduce_range=reduce_range,
        most_error=most_error,
    )
    require_onnx()
    with Bars() as bars:
        source = opened(
            model, weights=weights, inputs=input_shape, device=device, built_by=built_by, trust=trust
        )
        if data is None:
            with bars.working("writing and checking ONNX"):
                written = export_onnx(source.model, source.example(), onnx)
            found: dict[str, Any] = {}
            lines: list[str] = []
        else:
            with bars.working("writing and checking ONNX and int8"):
                written, found, lines = _both(source, data, (onnx, small, record), options)
    if not source.trained:
        note(f"no --weights given, so {model} has random weights")
    slow = about_widths(onnx) if int8 and activations == "uint8" else None
    if slow is not None:
        note(slow)
    if as_json is not None:
        numbers = {"model": model, **dataclasses.asdict(written), **found}
        write_json(json.dumps(numbers, indent=2, default=str) + "\n", as_json)
    if not quiet(as_json):
        say(f"Wrote {written}", *lines)


def _both(
    source: Source, data: str, paths: tuple[Path, Path, Path], options: Any
) -> tuple[Any, dict[str, Any], list[str]]:
    """Write float, int8 and record, all three or none."""
    from secateurs.data import resolve_data
    from secateurs.export import OnnxNetwork, agreement, export_onnx, new_files, quantise_onnx
    from secateurs.meters.accuracy import evaluate

    splits = resolve_data(
        data, normalisation=source.normalisation, input_shape=source.sample_shape, network=source.spec
    )
    source = source.fitted_to(splits)
    onnx, small, _ = paths
    with new_files(*paths) as (float_at, small_at, record_at):
        written = dataclasses.replace(export_onnx(source.model, source.example(), float_at), path=onnx)
        calibration = splits.calibration(options.samples)
        done = dataclasses.replace(quantise_onnx(float_at, calibration, small_at, options), path=small)
        whole, whole8 = OnnxNetwork(float_at), OnnxNetwork(small_at)
        found: dict[str, Any] = {
            "int8": dataclasses.asdict(done),
            "int8_options": dataclasses.asdict(options),
            "data": data,
        }
        lines = [f"Wrote {done}"]
        try:
            found["agreement"] = agreement(whole, whole8, splits.test)
            lines.append(f"same answer as float: {100 * found['agreement']:.2f} % of the test part")
            right, right8 = evaluate(whole, splits.test), evaluate(whole8, splits.test)
        except InputError as problem:
            what = "accuracy" if "agreement" in found else "agreement and accuracy"
            lines.append(f"{what} not measured: {problem}")
        else:
            found["accuracy"] = dataclasses.asdict(right)
            found["int8_accuracy"] = dataclasses.asdict(right8)
            lines += [f"float: {right}", f"int8:  {right8}"]
        record_at.write_text(json.dumps(found, indent=2, default=str) + "\n")
    return written, found, lines
