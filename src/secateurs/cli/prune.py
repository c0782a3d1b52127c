"""`secateurs prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from secateurs.cli.console import note, say, write_json
from secateurs.cli.options import (
    BuiltBy,
    Data,
    Device,
    Input,
    Json,
    Model,
    Seed,
    Threads,
    Trust,
    Weights,
    exceptions,
    number,
    quiet,
    share,
)
from secateurs.cli.progress import Bars
from secateurs.errors import InputError


def prune(
    model: Model,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write; must not exist.", show_default=False)
    ],
    weights: Weights = None,
    data: Data = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="See `secateurs methods`. A named method comes plain; without one everything is at its strongest.",
        ),
    ] = None,
    macs: Annotated[float | None, share("multiply-adds")] = None,
    params: Annotated[float | None, share("parameters")] = None,
    latency: Annotated[float | None, share("measured latency")] = None,
    keep: Annotated[float | None, share("prunable channels")] = None,
    accuracy_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            parser=number,
            help="As small as held-out training accuracy allows.",
            show_default=False,
        ),
    ] = None,
    allocate: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Which groups the cut comes from: uniform, global, threshold, sensitivity, search.",
        ),
    ] = None,
    compensate: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Repair: none, bias, merge, weights, least-squares-once, least-squares, reconstruct.",
        ),
    ] = None,
    round_to: Annotated[int, typer.Option(metavar="N", help="Keep multiples of N channels.")] = 1,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN=SHARE",
            help="Groups named so keep this share, such as 'layer1.*=1'; may be repeated.",
            show_default=False,
        ),
    ] = None,
    normalised: Annotated[
        str,
        typer.Option(
            "--normalised",
            help="Channels that a LayerNorm takes together: 'lock' keeps them, 'recompute' normalises what is left.",
        ),
    ] = "lock",
    frame: Annotated[
        bool,
        typer.Option(
            "--frame", help="Put 1x1 convolutions around each larger one and cut only between them."
        ),
    ] = False,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Measure the batch-norm statistics anew on training data.")
    ] = False,
    calibrate: Annotated[
        int, typer.Option(metavar="N", help="Training samples that may be looked at.")
    ] = 2048,
    seed: Seed = 0,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too.")] = False,
    input_shape: Input = None,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Make a network smaller, prove it, measure it, and write it to a folder.

    A target is always what stays, and only one can be given: --macs, --params, --latency or --keep; or, the
    other way round, --accuracy-drop says how much accuracy may go.
    """
    from secateurs.cli.opening import opened
    from secateurs.cli.tables import after_run, saved
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.data import resolve_data
    from secateurs.export import check_free, require_onnx
    from secateurs.planning import check_target
    from secateurs.report.folder import write_folder
    from secateurs.report.run import Settings, run

    found = check_target(
        {
            "--macs": macs,
            "--params": params,
            "--latency": latency,
            "--keep": keep,
            "--accuracy-drop": accuracy_drop,
        }
    )
    target = {} if found is None else {found[0].removeprefix("--").replace("-", "_"): found[1]}
    kept = exceptions(layer or [])
    settings = Settings(
        method,
        target,
        allocate,
        compensate,
        recalibrate,
        calibrate,
        seed,
        round_to,
        kept,
        frame,
        checked(normalised),
    )
    check_free(out)
    if onnx:
        require_onnx()
    with Bars() as bars:
        source = opened(
            model,
            weights=weights,
            inputs=input_shape,
            device=device,
            seed=seed,
            built_by=built_by,
            trust=trust,
        )
        splits = None
        if data is not None:
            splits = resolve_data(data, normalisation=source.normalisation, input_shape=source.sample_shape)
            source = source.fitted_to(splits)
        example = source.example(seed)
        with worthwhile_threads(source.model, example, threads):
            done = run(source, splits, settings, data_spec=data, progress=bars)
        with bars.working("writing and checking the folder"):
            written = write_folder(
                out, done.model, done.plan, done.record, onnx_example=example if onnx else None
            )
    if not source.trained:
        note(f"no --weights given, so {model} has random weights: only costs and structure mean anything")
    for remark in done.record.remarks:
        note(remark)
    if as_json is not None:
        write_json(done.record.to_json(), as_json)
    if not quiet(as_json):
        say(*after_run(done.record), saved(out))
        if written is not None:
            say(f"ONNX: {written}")
        say(f"Wrote {out}: " + ", ".join(sorted(path.name for path in out.iterdir())))


def checked(normalised: str) -> Literal["lock", "recompute"]:
    """What becomes of channels that are normalised together, as `prune` takes it.

    Raises:
        InputError: It is another word.

    Example:
        >>> checked("lock")
        'lock'
    """
    if normalised == "lock":
        return "lock"
    if normalised == "recompute":
        return "recompute"
    raise InputError(f"--normalised: '{normalised}' is neither 'lock' nor 'recompute'; give one of them.")
