"""`secateurs compare`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from secateurs.cli.console import console, drawn, note, on_terminal, say, table, write_json
from secateurs.cli.listing import Listing
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
from secateurs.cli.settings import method_named, read_settings, several, with_settings
from secateurs.config import GOALS, PruneConfig
from secateurs.errors import InputError

if TYPE_CHECKING:
    from secateurs.comparing import Comparison, Executor
    from secateurs.comparing.records import Scored

VARIED = ("method", *GOALS, "compensate", "seed")
SHOWN = 8
"""Remarks that are printed; result.json has them all."""
OFTEN = 0.5
"""Seconds between two drawings of the table on a terminal."""


@with_settings(after="repairs", without=VARIED)
def compare(
    model: Model,
    *,
    data: NeededData,
    to: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="The folder to write; where an earlier run was stopped, the same command goes on in it.",
            show_default=False,
        ),
    ],
    weights: Weights = None,
    methods: Annotated[list[str] | None, several("method")] = None,
    macs: Annotated[list[str] | None, several("macs")] = None,
    params: Annotated[list[str] | None, several("params")] = None,
    keep: Annotated[list[float] | None, several("keep")] = None,
    repairs: Annotated[
        list[str] | None,
        typer.Option(
            "--compensate",
            "--repair",
            metavar="HOW",
            help="Repair: none, bias, merge, weights, least-squares-once, least-squares, reconstruct. May be repeated.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Seeds of everything that is drawn.")] = 1,
    draws: Annotated[int, typer.Option(min=1, metavar="N", help="Seeds of the method 'random'.")] = 20,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Compare with this method; may be repeated. By default random and l1-norm; 'none' for none.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="At most so many test samples, evenly spread.", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes on this machine, or workers at once.", show_default=False
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]", help="On Ray: a cluster's address, or one started here.", show_default=False
        ),
    ] = None,
    slurm: Annotated[
        str | None,
        typer.Option(
            metavar="PARTITION", help="On SLURM, by submitit, in this partition.", show_default=False
        ),
    ] = None,
    input_shape: Input = None,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
    **settings: Any,
) -> None:
    """Prune in many ways, prove and score each on the same test samples, and tell the differences from chance.

    Methods x budgets x repairs x seeds. A finished cell is a file in DIR and is never computed again; a cell that fails
    is a row with its reason. Under torchrun the first process shares the cells out, as with --jobs.
    """
    from secateurs.cli.opening import opened
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.comparing import compare as run
    from secateurs.data import resolve_data

    config = PruneConfig(**read_settings(settings))
    if not methods:
        raise InputError("--method is missing; give at least one, such as --method similarity.")
    given: tuple[tuple[str, Any], ...] = (("macs", macs), ("params", params), ("keep", keep))
    budgets = {name: values for name, values in given if values}
    if not budgets:
        raise InputError("--macs, --params or --keep is missing; give at least one, such as --macs 0.5.")
    chosen = [method_named(one) for one in methods]
    baselines = [method_named(one) for one in (against or ("random", "l1-norm")) if one != "none"]
    with Bars():
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
    example, watched = source.example(), _Watched(to)
    with worthwhile_threads(source.model, example, threads), watched.on_the_way():
        found = run(
            source.model,
            example,
            data=splits.calibration(config.calibrate),
            test=_some(splits.test, test),
            methods=chosen,
            budgets=budgets,
            repairs=repairs or ["none"],
            seeds=seeds,
            draws=draws,
            against=baselines,
            executor=_executor(jobs, ray, slurm),
            config=config,
            to=to,
            each=watched,
            progress=watched.stage,
            asked={"model": model, "weights": str(weights or ""), "data": data, "test": test},
        )
    if not source.trained:
        note(f"no --weights given, so {model} has random weights: accuracies are those of chance")
    for remark in (*splits.remarks, *found.remarks[:SHOWN]):
        note(remark)
    if len(found.remarks) > SHOWN:
        note(f"and {len(found.remarks) - SHOWN} more remarks; {to / 'result.json'} has them all")
    if as_json is not None:
        write_json(found.to_json(), as_json)
    if not quiet(as_json):
        say(*_parts(found, to))


def _executor(jobs: int | None, ray: str | None, slurm: str | None) -> Executor:
    """Where cells are worked on.

    Raises:
        InputError: Two places at once.
    """
    from secateurs.comparing import Processes, Ray, Serial, Slurm

    if ray is not None and slurm is not None:
        raise InputError("--ray and --slurm are both given; give one of them.")
    if ray is not None:
        return Ray(None if ray == "here" else ray, jobs)
    if slurm is not None:
        return Slurm(slurm) if jobs is None else Slurm(slurm, jobs)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's
    if here < int(os.environ.get("WORLD_SIZE", "1")):
        note("other machines that torchrun started do nothing for a comparison; --ray and --slurm use them")
    jobs = here if jobs is None else jobs
    return Serial() if jobs in (None, 1) else Processes(jobs or 1)


def _some(samples: Any, most: int | None) -> Any:
    """At most so many samples, evenly spread, as data may be sorted by class."""
    from torch.utils.data import Subset

    from secateurs.data.calibration import kept_apart

    if most is None or most >= len(samples):
        return samples
    return Subset(samples, kept_apart(len(samples), most).nonzero().flatten().tolist())


def _parts(found: Comparison, to: Path) -> Iterator[str | Listing]:
    from secateurs.comparing.tables import failures, tables

    original = found.original
    if original.accuracy is not None and original.error is not None:
        samples = f"{original.samples or 0:,} test samples"
        yield f"unpruned: {100 * original.accuracy:.2f} ± {100 * original.error:.2f} % of {samples}\n"
    for each in tables(found.summaries, found.against):
        yield table(each.title, each.columns, each.rows, left=each.left)
        yield ""
    yield from failures(found.summaries)
    worst = max((one.proof for one in found.summaries if one.proof is not None), default=None)
    if worst is not None:
        cells = sum(row.proof is not None for row in found.rows)
        yield f"proof: all {cells} networks equal the silenced original before repair, to {worst:.1e} of the range"
    yield f"Wrote {to}: comparison.csv, comparison.tex, result.json, and a file a cell"


@dataclass
class _Watched:
    """Shows cells as they come: as a table on a terminal, as lines elsewhere."""

    to: Path
    rows: list[Scored] = field(default_factory=list)
    lines: Bars = field(default_factory=Bars)
    live: Live | None = None
    doing: str = ""
    drawn: float = 0.0

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """Say on an interruption how to go on."""
        if on_terminal(sys.stderr):
            self.live = Live(console=console(error=True), transient=True, auto_refresh=False)
            self.live.start()
        try:
            yield
        except BaseException as problem:
            self._stop()
            if not isinstance(problem, Exception) and self.rows:
                note(f"{self._count()} in {self.to}; the same command goes on from there")
            raise
        finally:
            self._stop()

    def __call__(self, row: Scored) -> None:
        """A row has come."""
        from secateurs.targets.amounts import in_short

        self.rows.append(row)
        if self.live is None:
            what = f"{row.method}, {row.budget} {in_short(row.share)}, {row.repair}, seed {row.seed}"
            note(f"{what}: {row.reason or f'{100 * (row.accuracy or 0):.2f} %'}")
        self._draw()

    def stage(self, stage: str, done: int, total: int) -> None:
        """So far has a stage come."""
        self.doing = f"{stage}: {done:,} of {total:,}"
        if self.live is None:
            self.lines(stage, done, total)
        self._draw()

    def _draw(self) -> None:
        if self.live is not None and time.monotonic() - self.drawn > OFTEN:
            self.drawn = time.monotonic()
            self.live.update(Text.from_ansi(self._text()), refresh=True)

    def _stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _count(self) -> str:
        done = sum(row.reason is None for row in self.rows)
        return f"{done} cell{'' if done == 1 else 's'} {'is' if done == 1 else 'are'} finished"

    def _text(self) -> str:
        from secateurs.comparing.tables import so_far

        if not self.rows:
            return self.doing
        made = so_far(self.rows)
        found = table(made.title, made.columns, made.rows, left=made.left)
        return f"{drawn(found, console(error=True))}{self._count()} so far; {self.doing}"
