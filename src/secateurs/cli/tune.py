"""`secateurs tune`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secateurs.cli import typed
from secateurs.cli.console import note, say, write_json
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
from secateurs.cli.settings import Asked, metric_named, read_settings, with_settings
from secateurs.config import PruneConfig
from secateurs.errors import InputError
from secateurs.tuning import RECIPES, TuneConfig

if TYPE_CHECKING:
    from secateurs.recover import Epoch
    from secateurs.runs.run import Run
    from secateurs.runs.source import Source
    from secateurs.runs.tuned import Training

PRUNING = ("method", "macs", "params", "keep", "allocate", "compensate", "layers", "calibrate")
"""Settings of the pruning that --steps repeats."""
_OTHERS = tuple(one.name for one in dataclasses.fields(PruneConfig) if one.name not in PRUNING)


@with_settings(after="steps", without=_OTHERS)
@with_settings(after="data", of=TuneConfig)
def tune(
    model: Model,
    *,
    data: NeededData,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="The folder to write. Until then checkpoints are in DIR.tuning; the same command goes on from there.",
            show_default=False,
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Settings of a paper: {', '.join(RECIPES)}; options given here hold.",
            show_default=False,
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="original|none",
            help="Learn from the unpruned network too; by default where the recipe does.",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Prune MODEL first, in N steps with training after each; a target below is reached at the end.",
            show_default=False,
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard to DIR.tuning.")
    ] = False,
    input_shape: Input = None,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
    **settings: Any,
) -> None:
    """Train the network of an output folder, or prune in steps with training after each; torchrun takes many devices.

    The epoch that is kept is the best one of a part of the training data. --weights are those of MODEL, or of a DIR's
    original for --teacher original, where its result.json does not name them.
    """
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.data import resolve_data
    from secateurs.export import check_free
    from secateurs.recover.processes import processes

    rank, _ = processes()
    config, pruning = _configs(recipe, settings, steps)
    check_free(out)
    folder = Path(model).is_dir()
    with Bars() as bars:
        source = _source(
            model, None if folder else weights, input_shape, device, config.seed, built_by, trust
        )
        splits = resolve_data(
            data, normalisation=source.normalisation, input_shape=source.sample_shape, network=source.spec
        )
        source = source.fitted_to(splits)
        state = out.with_name(f"{out.name}.tuning")
        watched = _Watched(state, _lengths(config, pruning, steps), config.metric, rank > 0)
        training = _training(source, splits, config, teacher, weights, model, watched, tensorboard)
        if rank == 0:
            training = dataclasses.replace(training, progress=bars, each=watched)
        with worthwhile_threads(source.model, source.example(), threads), watched.on_the_way():
            measured = _run(source, training, pruning, steps, model, data, weights, input_shape)
            if rank > 0:
                return
            done = measured()
        with bars.working("writing and checking the folder"):
            _write(out, done, watched.folder)
    _tell(done, out, as_json)


def _configs(
    recipe: str | None, settings: dict[str, Any], steps: int | None
) -> tuple[TuneConfig, PruneConfig | None]:
    """Settings of the training, and of the pruning where a target or --steps asks for one."""
    ours = {name: settings.pop(name) for name in PRUNING if name in settings}
    if "metric" in settings:
        settings["metric"] = metric_named(settings["metric"])
    if "drops" in settings:
        settings["drops"] = _shares(settings["drops"])
    config = TuneConfig.recipe(recipe, **settings) if recipe is not None else TuneConfig(**settings)
    try:
        config.check()
    except InputError as problem:
        name, _, rest = str(problem).partition(" ")
        raise InputError(f"--{name.replace('_', '-')} {rest}" if name in settings else str(problem)) from None
    if not ours and steps is None:
        return config, None
    if not any(name in ours for name in ("macs", "params", "keep")):
        raise InputError("pruning in steps needs a target: give --macs, --params or --keep.")
    return config, PruneConfig(**read_settings(ours), seed=config.seed)


def _lengths(config: TuneConfig, pruning: PruneConfig | None, steps: int | None) -> list[int]:
    """Epochs after every step of the pruning."""
    return [*([config.step_epochs] * ((steps or 1) - 1 if pruning else 0)), config.epochs]


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--drops {text}: give shares of the epochs, such as 0.5,0.75") from None


def _source(
    model: str,
    weights: Path | None,
    inputs: list[str] | None,
    device: str,
    seed: int,
    built_by: str | None,
    trust: bool,
) -> Source:
    from secateurs.cli.opening import opened

    return opened(
        model, weights=weights, inputs=inputs, device=device, seed=seed, built_by=built_by, trust=trust
    )


def _training(
    source: Source,
    splits: Any,
    config: TuneConfig,
    teacher: str | None,
    weights: Path | None,
    model: str,
    watched: _Watched,
    tensorboard: bool,
) -> Training:
    """The training, with the original where it is learnt from."""
    from secateurs.report.record import Record
    from secateurs.running.eval_mode import device_of
    from secateurs.runs.tuned import Training, original_of

    if teacher not in (None, "original", "none"):
        raise InputError(f"--teacher {teacher}: give original or none.")
    needed = bool(config.distil or config.hints or not config.labels)
    if needed and teacher == "none":
        raise InputError(
            "--teacher none: this recipe, --distil, --hints or --labels 0 learn from the original."
        )
    learnt = None
    if needed or teacher == "original":
        if source.plan is None:
            learnt = source.model
        else:
            learnt = original_of(source, Record.read(Path(model)), weights, model).to(device_of(source.model))
    elif weights is not None and source.plan is not None:
        raise InputError(
            f"--weights {weights}: are those of the original, which is learnt from with --teacher original"
        )
    return Training(splits, config, learnt, watched.folder, tensorboard)


def _run(
    source: Source,
    training: Training,
    pruning: PruneConfig | None,
    steps: int | None,
    model: str,
    data: str,
    weights: Path | None,
    inputs: list[str] | None,
) -> Callable[[], Run]:
    from secateurs.report.record import Record
    from secateurs.runs.tuned import pruned_and_tuned, tuned

    if pruning is not None:
        file = None if weights is None else str(weights)
        asked = Asked(model, file, data, tuple(inputs or ()), pruning)
        return pruned_and_tuned(
            source, pruning, steps or 1, training, data_spec=data, command=asked.to_dict()
        )
    if source.plan is None:
        raise InputError(
            f"{model}: is no output folder of `secateurs prune`; name one, or give a target (--macs 0.5) to prune it"
        )
    return tuned(source, Record.read(Path(model)), training)


@dataclass
class _Watched:
    """Says what came of every epoch, and on an interruption how to go on."""

    folder: Path
    lengths: list[int]
    metric: Any = None
    silent: bool = False
    spent: list[float] = field(default_factory=list)

    def __call__(self, step: int, epoch: Epoch) -> None:
        """An epoch is over."""
        from secateurs.recover.progress import as_measured

        if not self.spent and epoch.number > 1:
            note(f"went on after epoch {epoch.number - 1}, from the checkpoint in {self.folder}")
        self.spent.append(epoch.seconds)
        left = sum(self.lengths[step - 1 :]) - epoch.number
        more = f", about {_time(left * sum(self.spent) / len(self.spent))} left" if left else ""
        there = "" if epoch.accuracy is None else f", validation {as_measured(epoch.accuracy, self.metric)}"
        before = f"step {step} of {len(self.lengths)}, " if len(self.lengths) > 1 else ""
        whole = self.lengths[step - 1]
        note(
            f"{before}epoch {epoch.number} of {whole}: loss {epoch.loss:.4f}{there}, {epoch.seconds:.1f} s{more}"
        )

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """Say where the last checkpoint is and which command goes on from it, whatever stops the run."""
        try:
            yield
        except BaseException as problem:
            if not self.silent and not isinstance(problem, InputError):
                note(self._how_to_go_on(stopped=not isinstance(problem, Exception)))
            raise

    def _how_to_go_on(self, stopped: bool) -> str:
        from secateurs.recover.checkpoints import newest

        place = newest(self.folder)
        if place is None:
            again = f"; to begin anew: {typed.command()}" if stopped else ""
            return f"no epoch was finished, so there is no checkpoint in {self.folder}{again}"
        again = f"; to go on from it: {typed.command()}" if stopped else ""
        return f"the checkpoint of the last finished epoch is {place}{again}"


def _time(seconds: float) -> str:
    """A time for the eye.

    Example:
        >>> _time(12.3), _time(400), _time(20_000)
        ('12 s', '7 min', '5.6 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _write(out: Path, done: Run, state: Path) -> None:
    """Write the folder; the checkpoints have done their work then, TensorBoard's logs stay where they are."""
    from secateurs.recover.progress import Epoch, as_csv
    from secateurs.report.folder import write_folder

    epochs = tuple(Epoch(**epoch) for one in done.record.tuned for epoch in one["epochs"])
    write_folder(out, done.model, done.plan, done.record, beside={"log.csv": as_csv(epochs)})
    _clear(state)


def _clear(state: Path) -> None:
    """Take away what a training has kept, and the folder where nothing else lies in it."""
    from secateurs.recover.checkpoints import CHECKPOINT, LOG

    for folder in (*state.glob("step-*"), state):
        for name in (CHECKPOINT, LOG):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _tell(done: Run, out: Path, as_json: Path | None) -> None:
    from secateurs.cli.tables import after_run, saved

    for remark in done.record.remarks:
        note(remark)
    if as_json is not None:
        write_json(done.record.to_json(), as_json)
    if not quiet(as_json):
        say(*after_run(done.record), saved(out))
        say(f"Wrote {out}: " + ", ".join(sorted(path.name for path in out.iterdir())))
