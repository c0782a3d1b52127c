"""`secateurs export`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from secateurs.cli.console import note, say, write_json
from secateurs.cli.options import BuiltBy, Device, Input, Json, Model, Trust, Weights, quiet
from secateurs.cli.progress import Bars
from secateurs.errors import InputError


def export(
    model: Model,
    onnx: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The ONNX file to write; must not exist.", show_default=False),
    ],
    weights: Weights = None,
    input_shape: Input = None,
    device: Device = "cpu",
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Write a network as ONNX with a free batch size, and compare it in ONNX Runtime before saying so."""
    from secateurs.cli.opening import opened
    from secateurs.export import export_onnx, require_onnx

    if onnx.exists():
        raise InputError(f"{onnx}: exists already; choose another name or remove it")
    require_onnx()
    with Bars() as bars:
        source = opened(
            model, weights=weights, inputs=input_shape, device=device, built_by=built_by, trust=trust
        )
        with bars.working("writing and checking ONNX"):
            written = export_onnx(source.model, source.example(), onnx)
    if not source.trained:
        note(f"no --weights given, so {model} has random weights")
    if as_json is not None:
        write_json(
            json.dumps({"model": model, **dataclasses.asdict(written)}, indent=2, default=str) + "\n", as_json
        )
    if not quiet(as_json):
        say(f"Wrote {written}")
