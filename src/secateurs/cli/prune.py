"""`secateurs prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secateurs.cli.console import note, say, write_json
from secateurs.cli.options import BuiltBy, Data, Device, Input, Json, Threads, Trust, Weights, quiet
from secateurs.cli.progress import LONG, Bars
from secateurs.cli.settings import Asked, asked_in, read_settings, with_settings
from secateurs.config import PruneConfig
from secateurs.errors import InputError

if TYPE_CHECKING:
    from secateurs.data import DataSource
    from secateurs.export import OnnxFile
    from secateurs.report.record import Record
    from secateurs.runs.source import Source


@with_settings(after="data")
def prune(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|DIR",
            help="A zoo name (resnet56), torchvision:NAME, timm:NAME, package.module:callable, or an output DIR.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write; must not exist.", show_default=False)
    ],
    weights: Weights = None,
    data: Data = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Repeat the run of a result.json, or take settings from a JSON file; options given here hold.",
            show_default=False,
        ),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too.")] = False,
    input_shape: Input = None,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
    **settings: Any,
) -> None:
    """Make a network smaller, prove it, measure it, and write it to a folder.

    A target is always what stays. What is counted can be given together, as shares or as the most a device takes:
    --macs, --params, --size, --peak-memory, --keep, --budget; or one alone: --latency; or, the other way round,
    --accuracy-drop says how much accuracy may go.
    """
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.export import check_free, require_onnx
    from secateurs.report.folder import write_folder
    from secateurs.runs.run import run

    asked = _asked(config, trust, read_settings(settings), model, weights, data, input_shape)
    check_free(out)
    if onnx:
        require_onnx()
    with Bars() as bars:
        source, splits = _opened(asked, device, built_by, trust)
        example = source.example(asked.config.seed)
        with worthwhile_threads(source.model, example, threads):
            _foretell(source, example, splits, asked.config)
            done = run(
                source, splits, asked.config, data_spec=asked.data, asked=asked.to_dict(), progress=bars
            )
        with bars.working("writing and checking the folder"):
            shown = example if onnx else None
            written = write_folder(out, done.model, done.plan, done.record, onnx_example=shown)
    if not source.trained:
        note(
            f"no --weights given, so {asked.model} has random weights: only costs and structure mean anything"
        )
    _tell(done.record, out, written, as_json)


def _opened(asked: Asked, device: str, built_by: str | None, trust: bool) -> tuple[Source, DataSource | None]:
    """The network and the data that are asked for, fitted to each other."""
    from secateurs.cli.opening import opened
    from secateurs.data import resolve_data

    source = opened(
        asked.model,
        weights=None if asked.weights is None else Path(asked.weights),
        inputs=list(asked.inputs),
        device=device,
        seed=asked.config.seed,
        built_by=built_by,
        trust=trust,
    )
    if asked.data is None:
        return source, None
    splits = resolve_data(
        asked.data,
        normalisation=source.normalisation,
        input_shape=source.sample_shape,
        network=source.spec,
    )
    return source.fitted_to(splits), splits


def _foretell(source: Source, example: Any, splits: DataSource | None, config: PruneConfig) -> None:
    """Say how long it will take, where that is more than a moment and known."""
    from secateurs.forecast import forecast
    from secateurs.recipe import chosen

    if splits is None:
        return
    method, allocation, repair = chosen(config, with_data=True)
    tried = config.accuracy_drop is not None or config.latency is not None or allocation == "search"
    if tried or repair not in ("none", "least-squares"):
        return  # nobody knows how many networks are tried; what other repairs take is not known
    stays = config.macs if isinstance(config.macs, float) and 0 < config.macs <= 1 else 0.5
    try:
        found = forecast(
            source.model,
            example,
            samples=len(splits.calibration(config.calibrate, config.seed)),
            scored=len(splits.test),  # type: ignore[arg-type]
            stays=stays,
            effort=config.effort,
            survey=method.surveys or allocation == "sensitivity",
            damage=allocation == "sensitivity",
            repair=repair == "least-squares",
        )
    except Exception:  # the run itself says what is wrong with the network or its input
        return
    if found.seconds > LONG:
        note(f"this will take {found}")


def _tell(record: Record, out: Path, written: OnnxFile | None, as_json: Path | None) -> None:
    """Print what came of a run, and where it lies."""
    from secateurs.cli.tables import after_run, saved

    for remark in record.remarks:
        note(remark)
    if as_json is not None:
        write_json(record.to_json(), as_json)
    if not quiet(as_json):
        say(*after_run(record), saved(out))
        if written is not None:
            say(f"ONNX: {written}")
        say(f"Wrote {out}: " + ", ".join(sorted(path.name for path in out.iterdir())))


def _asked(
    file: Path | None,
    trust: bool,
    settings: dict[str, Any],
    model: str | None,
    weights: Path | None,
    data: str | None,
    inputs: list[str] | None,
) -> Asked:
    """What the options ask for, above what the file of `--config` does.

    Raises:
        InputError: Nobody names a network.
    """
    from secateurs.arguments import check_config

    for name, value in (("MODEL", model), ("--data", data), ("--method", settings.get("method"))):
        if value == "":
            raise InputError(f"{name} is empty; give a name, or leave it out.")
    found = (
        PruneConfig()
        if file is None
        else asked_in(file, trust, own=(model is None, data is None, "method" not in settings))
    )
    run = found if isinstance(found, Asked) else Asked(model or "", None, None, (), found)
    config = run.config.changed(**settings)
    check_config(config)
    if model is None and not run.model:
        raise InputError("missing argument 'MODEL|DIR'. See: secateurs prune --help")
    used = weights if weights is not None or model is not None else run.weights
    return Asked(
        run.model if model is None else model,
        None if used is None else str(used),
        run.data if data is None else data,
        tuple(inputs or (run.inputs if model in (None, run.model) else ())),
        config,
    )
