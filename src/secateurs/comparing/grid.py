"""compare(): methods x budgets x repairs x seeds, each network proven, each scored on the same test samples."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset, IterableDataset

from secateurs.arguments import check_data_kind, check_free, check_network
from secateurs.checks import check_callable, check_kind
from secateurs.comparing.bench import Bench, held
from secateurs.comparing.cells import Cell, Inputs, cells
from secateurs.comparing.comparison import Comparison
from secateurs.comparing.executors import Executor, Run, Serial, cores
from secateurs.comparing.fingerprint import digest, of_data, of_library, of_network
from secateurs.comparing.given import (
    checked_budgets,
    checked_common,
    checked_methods,
    checked_repairs,
    checked_seeds,
    drawing,
)
from secateurs.comparing.records import Ranked, Record, Scored
from secateurs.comparing.state import CSV, LATEX, RESULT, State
from secateurs.comparing.summary import summaries
from secateurs.comparing.tasks import Rank, Removal, Task
from secateurs.comparing.work import carried_out
from secateurs.config import PruneConfig
from secateurs.contracts import Loader, Progress
from secateurs.cutting import Traced
from secateurs.data.samples import about_samples
from secateurs.layers.standardised import about_standardisation
from secateurs.pipeline import check_finite, versions

AGAINST = ("random", "l1-norm")
DRAWS = 20
ALL = 2**62
"""More samples than any data hold."""
Each = Callable[[Scored], None]


def compare(
    model: nn.Module,
    example: Any,
    *,
    test: Loader,
    methods: Any,
    budgets: Mapping[str, Any],
    to: str | os.PathLike[str],
    data: Loader | None = None,
    repairs: Any = ("none",),
    seeds: int | Sequence[int] = 1,
    draws: int = DRAWS,
    against: Sequence[Any] = AGAINST,
    executor: Executor | None = None,
    config: PruneConfig | None = None,
    each: Each | None = None,
    progress: Progress | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Comparison:
    """Prune one network in many ways, prove and score every one, and tell the differences from chance.

    The network is captured once, the data are read once, and a method ranks once (once a seed where it draws). Each
    way is a cell: its numbers depend on its settings, the network, the data it looks at, the test samples and the
    versions, and the hash of these is the name of its file in `to`. So a comparison that was stopped goes on where it
    was, and a changed setting computes what it changes. What fails is a row with its reason, and is tried again when
    the comparison is run again.

    Under several processes of `torch.distributed` one alone calls this, with `Processes` as its executor where others
    are to share the cells; `running.together.by_first(lambda: compare(...))` gives what it made to all.

    Args:
        model: Any trained classifier; it is left untouched.
        example: One input, as for `prune`.
        test: Labelled samples that accuracy is measured on. A map-style Dataset is read for every cell; anything else
            is read once and held in memory.
        methods: Names with settings or without, `Method`s, or functions of filters.
        budgets: Shares that stay, by target: {"macs": [0.7, 0.5]}, or "params", or "keep"; of macs and params also the
            most itself, as in {"macs": ["30M"]}.
        to: The folder of the comparison, which may hold what an earlier run has finished.
        data: A little training data, for methods and repairs that look at it; held in memory.
        repairs: Names from `compensate.names()`, or functions, as `compensate` of `prune`.
        seeds: How many seeds, from 0 on, or which. What draws nothing is computed for the first alone.
        draws: Seeds of the method "random".
        against: Methods that the others are compared with; those that are missing are added. () for none.
        executor: Where cells are worked on: `comparing.Serial()` by default, `Processes(jobs)`, `Ray(...)` or
            `Slurm(...)`.
        config: Settings that all cells share, such as `allocate` or `round_to`.
        each: Told every row as it comes, those of earlier runs first.
        progress: Told how many pieces of work are done.
        asked: The command that asked, for the record.

    Returns:
        All rows, their statistics, and tables of them. `to` holds them as result.json, comparison.csv and
        comparison.tex.

    Raises:
        InputError: An argument is not what it has to be.
        CaptureError: The model does not run on the example.
        TargetError: Nothing may leave this network.
        RunError: The unpruned network gives outputs that are not finite, or a cluster cannot be used.

    Example:
        >>> import tempfile, torch
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> found = compare(
        ...     net,
        ...     torch.zeros(1, 4),
        ...     test=(torch.randn(50, 4), torch.arange(50) % 2),
        ...     methods=["l2-norm"],
        ...     budgets={"macs": [0.5]},
        ...     against=["l1-norm"],
        ...     to=tempfile.mkdtemp(),
        ... )
        >>> [(one.method, one.macs) for one in found.summaries]
        [('l2-norm', 0.5), ('l1-norm', 0.5)]
    """
    chosen, baselines = checked_methods(methods, against)
    grid = _Grid(
        chosen,
        baselines,
        checked_budgets(budgets),
        checked_repairs(repairs),
        checked_seeds(seeds, draws, chosen),
        checked_common(config),
    )
    _check_given(model, example, data, test, each, progress)
    check_kind("to", to, (str, os.PathLike), "the path of a folder")
    folder = Path(to)
    state = State.at(folder)
    bench = _bench(model, example, data, test, grid.common, folder)
    doubts = () if bench.data is None else about_samples(bench.data, example, grid.common.calibrate)
    inputs = _inputs(bench)
    original = _scored_original(bench, state, inputs, progress)
    with (executor or Serial()).opened(bench) as run:
        rows = _Rows(state, run, each, progress).of(list(grid.cells(inputs)))
    found = Comparison(
        original,
        rows,
        summaries(rows, original, baselines, drawing(chosen)),
        baselines,
        dict(inputs.versions),
        machine(),
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        dict(asked or {}),
        _remarks(bench, doubts, rows),
    )
    state.put(folder / CSV, found.to_csv())
    state.put(folder / LATEX, found.to_latex())
    state.put(folder / RESULT, found.to_json())
    return found


def _remarks(bench: Bench, doubts: Sequence[str], rows: Sequence[Scored]) -> tuple[str, ...]:
    """Every sentence once; those of a repair with the way in which they were first said."""
    graph = bench.traced.graph
    found = dict.fromkeys((*graph.notes, *doubts, *about_standardisation(graph.plain)))
    found.update(dict.fromkeys(remark for row in rows for remark in row.remarks))
    return tuple(found)


@dataclass(frozen=True)
class _Grid:
    methods: Sequence[Any]
    against: Sequence[str]
    budgets: Mapping[str, Sequence[float]]
    repairs: Sequence[Any]
    seeds: Mapping[str, Sequence[int]]
    common: PruneConfig

    def cells(self, inputs: Inputs) -> Iterable[Cell]:
        return cells(self.common, self.methods, self.budgets, self.repairs, self.seeds, inputs)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of cells: those that are there, and the others by a run over what is not done yet."""

    state: State
    run: Run
    each: Each | None
    progress: Progress | None

    def of(self, wanted: Sequence[Cell]) -> tuple[Scored, ...]:
        """The rows of all cells, in their order."""
        found: dict[str, Scored] = {}
        for cell in wanted:
            before = self.state.done(Scored, cell.key)
            if before is not None:
                self._note(found, before)
        missing = [cell for cell in wanted if cell.key not in found]
        orders = self._orders(missing)
        for cell in missing:
            reason = orders[cell.ranking].reason
            if reason is not None:
                self.state.write(cell.row(reason))
                self._note(found, cell.row(reason))
        tasks = list(_removals([cell for cell in missing if cell.key not in found], orders))
        for record in self._work("cells", tasks):
            if isinstance(record, Scored):
                self._note(found, record)
        return tuple(found[cell.key] for cell in wanted)

    def _orders(self, missing: Sequence[Cell]) -> dict[str, Ranked]:
        """The rankings that cells need, each made once."""
        by_key = {cell.ranking: cell for cell in missing}
        known = {key: self.state.done(Ranked, key) for key in by_key}
        orders = {key: ranked for key, ranked in known.items() if ranked is not None}
        tasks = [Rank(cell) for key, cell in by_key.items() if key not in orders]
        for record in self._work("rankings", tasks):
            if isinstance(record, Ranked):
                orders[record.key] = record
        return orders

    def _work(self, stage: str, tasks: Sequence[Task]) -> Iterable[Record]:
        total = sum(len(task.keys) for task in tasks)
        for done, record in enumerate(carried_out(self.run, self.state, tasks)):
            yield record
            if self.progress is not None:
                self.progress(stage, done + 1, max(total, done + 1))

    def _note(self, found: dict[str, Scored], row: Scored) -> None:
        found[row.key] = row
        if self.each is not None:
            self.each(row)


def _removals(missing: Sequence[Cell], orders: Mapping[str, Ranked]) -> Iterable[Task]:
    """One piece of work for each removal."""
    by_cut: dict[str, list[Cell]] = {}
    for cell in missing:
        by_cut.setdefault(cell.cut, []).append(cell)
    for group in by_cut.values():
        yield Removal(tuple(group), orders[group[0].ranking])


def _check_given(model: Any, example: Any, data: Any, test: Any, each: Any, progress: Any) -> None:
    check_network(model, example)
    check_finite(model)
    for given in (test, data):
        if given is not None:
            check_data_kind(given)
    if each is not None:
        check_callable("each", each, "a function of a row")
    if progress is not None:
        check_callable("progress", progress, "a function of a stage, the steps done, and their number")


def _bench(model: nn.Module, example: Any, data: Any, test: Any, common: PruneConfig, folder: Path) -> Bench:
    """One capture, and the samples that all cells see.

    Raises:
        InputError: The data or the test samples cannot be read.
    """
    traced = Traced.of(model, example, common.normalised, bool(common.frame))
    check_free(traced.graph)
    looked = None if data is None else held(data, common.calibrate)
    fixed = isinstance(test, Dataset) and not isinstance(test, IterableDataset)
    samples = test if fixed else held(test, ALL)
    return Bench(traced, looked, samples, folder.absolute())


def _inputs(bench: Bench) -> Inputs:
    used = {name: version for name, version in versions().items() if name != "python"}
    used["code"] = of_library()
    network = of_network(bench.traced.model, bench.traced.example)
    return Inputs(network, of_data(bench.data), of_data(bench.test), used)


def _scored_original(bench: Bench, state: State, inputs: Inputs, progress: Progress | None) -> Scored:
    """The unpruned network, scored on the same samples.

    Raises:
        InputError: The test samples have no labels, or do not fit the network.
        RunError: Its outputs are not finite.
    """
    key = digest({"network": inputs.network, "test": inputs.test, "versions": dict(inputs.versions)})
    found = state.done(Scored, key)
    if found is None:
        found = bench.original(key, progress)
        state.write(found)
    return found


def machine() -> dict[str, Any]:
    """Where something was computed.

    Example:
        >>> sorted(machine())
        ['cores', 'processor', 'system']
    """
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": cores(),
        "system": platform.system(),
    }
