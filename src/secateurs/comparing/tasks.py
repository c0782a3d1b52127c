"""Pieces of work: a ranking, or one removal with its repairs. Each is a value that any process can carry out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from secateurs.comparing.bench import Bench, why
from secateurs.comparing.cells import Cell
from secateurs.comparing.records import Ranked, Record


class Task(Protocol):
    """One piece of work. What goes wrong in it is in its records."""

    def __call__(self, bench: Bench, /) -> tuple[Record, ...]:
        """Carry it out, and write each record as soon as it is there."""
        ...

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of its records."""
        ...

    def parts(self, done: Sequence[str]) -> tuple[Task, ...]:
        """What is left of it, as small as can be, where the records of these keys are there."""
        ...

    def lost(self, reason: str) -> tuple[Record, ...]:
        """The records of a piece of work whose worker was lost again."""
        ...


@dataclass(frozen=True)
class Rank:
    """Rank once, for all cells that share the ranking."""

    cell: Cell

    def __call__(self, bench: Bench, /) -> tuple[Record, ...]:
        """The orders, or why there are none."""
        try:
            found = bench.ranked(self.cell)
        except Exception as problem:
            return self.lost(why(problem))
        bench.keep(found)
        return (found,)

    @property
    def keys(self) -> tuple[str, ...]:
        """That of its record."""
        return (self.cell.ranking,)

    def parts(self, done: Sequence[str]) -> tuple[Task, ...]:
        """Itself, unless it is done."""
        return () if self.cell.ranking in done else (self,)

    def lost(self, reason: str) -> tuple[Record, ...]:
        """A ranking without orders."""
        return (Ranked(self.cell.ranking, self.cell.method, reason),)


@dataclass(frozen=True)
class Removal:
    """Remove and prove once, then repair and score for every cell that shares the removal."""

    cells: tuple[Cell, ...]
    ranked: Ranked

    def __call__(self, bench: Bench, /) -> tuple[Record, ...]:
        """A record a cell."""
        try:
            cut, clock = bench.cut(self.cells[0], self.ranked)
        except Exception as problem:
            return self.lost(why(problem))
        found: list[Record] = []
        for cell in self.cells:
            try:
                record = bench.scored(cell, cut, clock)
            except Exception as problem:
                record = cell.row(why(problem))
            bench.keep(record)
            found.append(record)
        return tuple(found)

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of the cells."""
        return tuple(cell.key for cell in self.cells)

    def parts(self, done: Sequence[str]) -> tuple[Task, ...]:
        """One piece for each cell that is not done."""
        return tuple(replace(self, cells=(cell,)) for cell in self.cells if cell.key not in done)

    def lost(self, reason: str) -> tuple[Record, ...]:
        """A row with the reason for every cell."""
        return tuple(cell.row(reason) for cell in self.cells)
