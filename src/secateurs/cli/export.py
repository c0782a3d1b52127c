"""`secateurs export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secateurs.cli.console import Bars, note, say
from secateurs.cli.options import BuiltBy, Input, Model, Trust, Weights, shape


def export(
    model: Model,
    onnx: Annotated[Path, typer.Option(metavar="F", help="The ONNX file to write.", show_default=False)],
    weights: Weights = None,
    input_shape: Input = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Write a network as ONNX with a free batch size, and compare it in ONNX Runtime before saying so."""
    from secateurs.export import require_onnx, write_onnx
    from secateurs.report.source import open_source

    require_onnx()
    source = open_source(
        model, weights=weights, input_shape=shape(input_shape), built_by=built_by, trust=trust
    )
    with Bars() as bars, bars.working("writing and checking ONNX"):
        written = write_onnx(source.model, source.example(), onnx)
    if not source.trained:
        note(f"no --weights given, so {model} has random weights")
    say(f"Wrote {written}")
