"""What every cell is made from: one capture, one look at the data, the test samples; and how cells are made from it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from secateurs.allocate import Sensitivity
from secateurs.comparing.cells import Cell
from secateurs.comparing.marks import Marks
from secateurs.comparing.records import Ranked, Record, Scored
from secateurs.comparing.state import State
from secateurs.contracts import Loader, Progress
from secateurs.cutting import Cut, Traced, cut_once, finished, proven, within_budgets
from secateurs.data.batches import batches
from secateurs.data.own import Held
from secateurs.errors import SecateursError
from secateurs.meters.accuracy import answers
from secateurs.meters.costs import count_costs
from secateurs.network.exported import Exports
from secateurs.planning import about_ranking, ranking_of
from secateurs.recipe import Clock, Recipe
from secateurs.targets import Budgets

LONGEST_REASON = 2000


@dataclass(frozen=True, eq=False)
class Bench:
    """What all cells share; it is sent once to every process that works on them.

    Attributes:
        traced: The network with its groups.
        data: The samples that methods and repairs may look at, read once and held.
        test: The samples that accuracy is measured on, in one order at every reading.
        folder: Where files are written as soon as something is done, where a process can see that folder.
        exports: Captures of the network that a process has made already.
        framed: The network in frames, once a process has worked with a method that asks for them.
    """

    traced: Traced
    data: Held | None
    test: Loader
    folder: Path
    exports: Exports = field(default_factory=Exports, repr=False)
    framed: dict[bool, Traced] = field(default_factory=dict, repr=False)

    def ranked(self, cell: Cell) -> Ranked:
        """Orders of removal as a cell needs them.

        Raises:
            SecateursError: As `rank` and what looks at the data.
        """
        start = time.perf_counter()
        recipe = self._recipe(replace(cell.ranked_by, compensate="none"), cell.looks)
        ranking, allocation = recipe.ranked(self._of(recipe).left_to(recipe.method), Clock())
        curves = allocation.curves if isinstance(allocation, Sensitivity) else None
        seconds = time.perf_counter() - start
        return Ranked(cell.ranking, cell.method, None, ranking.orders, curves, seconds)

    def cut(self, cell: Cell, ranked: Ranked) -> tuple[Cut, Clock]:
        """The proven removal that a cell shares with those of other repairs.

        Raises:
            TargetError: The budget cannot be reached.
            VerificationError: The smaller network is not the silenced original.
        """
        recipe, clock = self._recipe(cell.ranked_by, cell.looks), Clock()
        traced = self._of(recipe)
        ranking = ranking_of(traced.left_to(recipe.method), recipe.method, ranked.orders, recipe.seed)
        cut = cut_once(recipe, traced, ranking, recipe.allocated(ranked.curves), clock)
        if cut.verification.passed:
            return cut, clock
        # Captured anew, for locks that are found now are no part of any other cell.
        fresh = Traced.of(traced.model, traced.example, cell.config.normalised, recipe.frame)
        return proven(recipe, fresh, clock), clock

    def scored(self, cell: Cell, cut: Cut, spent: Clock) -> Scored:
        """Repair a removal and measure it.

        Raises:
            SecateursError: As `prune` and `evaluate`.
        """
        clock = Clock()
        clock.seconds.update(spent.seconds)
        recipe = self._recipe(cell.config, cell.needs_data)
        traced = self._of(recipe)
        done = finished(recipe, traced, cut, clock)
        if isinstance(recipe.target, Budgets):
            cut, done, _ = within_budgets(recipe, traced, cut, done, clock)
        small, made, remarks = done
        said = (*about_ranking(cut.attempt.ranking), *remarks)
        kept = {name: tuple(units) for name, units in made.kept.items()}
        row = replace(cell.row(), proof=cut.verification, kept=kept, remarks=said)
        return self._measured(row, small, clock)

    def original(self, key: str, progress: Progress | None) -> Scored:
        """The unpruned network, scored like a cell.

        Raises:
            InputError: As `evaluate`.
            RunError: As `evaluate`.
        """
        row = Scored(key, "unpruned", "", "", 1.0, "none", 0)
        return self._measured(row, self.traced.model, Clock(), progress)

    def _measured(self, row: Scored, network: Any, clock: Clock, progress: Progress | None = None) -> Scored:
        with clock("costs"):
            costs = count_costs(network, self.traced.example, around=self.traced.tracer.around)
        with clock("evaluate"):
            accuracy, scores = answers(network, self.test, progress=progress)
        return replace(
            row,
            accuracy=accuracy.value,
            error=accuracy.standard_error,
            samples=accuracy.total,
            params=costs.params,
            macs=costs.macs,
            right=Marks.of(scores),
            seconds={stage: round(seconds, 3) for stage, seconds in clock.seconds.items()},
        )

    def keep(self, record: Record) -> None:
        """Write what is done, where this process sees the folder; another machine may not."""
        if (self.folder / record.kind).is_dir():
            State(self.folder).write(record)

    def _of(self, recipe: Recipe) -> Traced:
        """The network as a method works on it: in frames or without."""
        if recipe.frame == (self.traced.names is not None):
            return self.traced
        if recipe.frame not in self.framed:
            given = self.traced
            self.framed[recipe.frame] = Traced.of(
                given.model, given.example, recipe.config.normalised, recipe.frame
            )
        return self.framed[recipe.frame]

    def _recipe(self, config: Any, with_data: bool) -> Recipe:
        recipe = Recipe.of(config, self.data if with_data else None)
        return replace(recipe, exports=self.exports)


def held(data: Loader, limit: int) -> Held:
    """The first `limit` samples of some data, read once, in memory.

    Raises:
        InputError: As `batches`.

    Example:
        >>> len(held((torch.zeros(5, 3), torch.arange(5)), 4))
        4
    """
    read = list(batches(data, limit=limit))
    inputs = tuple(torch.cat(parts) for parts in zip(*(x for x, _ in read), strict=True))
    labels = [y for _, y in read if y is not None]
    return Held(inputs, torch.cat(labels) if len(labels) == len(read) else None)


def why(problem: Exception) -> str:
    """The reason in the row of what failed.

    Example:
        >>> why(KeyError("conv1"))
        "KeyError: 'conv1'"
    """
    text = str(problem).strip() or type(problem).__name__
    if not isinstance(problem, SecateursError):
        text = f"{type(problem).__name__}: {text}"
    return text[:LONGEST_REASON]
