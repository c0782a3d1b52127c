"""How far a run has come: bars with the time left on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from secateurs.cli.console import console, note, on_terminal

WAIT = 30.0
"""Seconds after which a stage that is not over says how far it is, where there is no terminal."""
LONG = 60.0
"""Seconds that a stage may take before it says so as soon as it knows."""


@dataclass
class Bars:
    """Draws the progress of every stage on the standard error.

    A terminal gets a bar for every stage that takes longer than `after` seconds, which vanishes when the stage is
    over. A file or a pipe gets one line a stage with its seconds, and one every `WAIT` seconds of a long stage. Both
    are told once, as soon as some steps are done, where a stage takes longer than `LONG` seconds.
    """

    after: float = 0.7
    _progress: Progress | None = None
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _spoke: dict[str, float] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def __enter__(self) -> Bars:
        if on_terminal(sys.stderr):
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left:"),
                TimeRemainingColumn(),
                console=console(error=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are finished."""
        start = self._since.setdefault(stage, time.monotonic())
        seconds = time.monotonic() - start
        if done >= total:
            del self._since[stage]
        if 0 < done < total and stage not in self._warned:
            self._warned.add(stage)
            self._warn(stage, seconds * (total - done) / done)
        if self._progress is not None:
            self._draw(self._progress, stage, done, total, seconds)
        else:
            self._tell(stage, done, total, seconds)

    def _warn(self, stage: str, left: float) -> None:
        if left > LONG:
            looks = "; --calibrate N looks at fewer samples" if stage.startswith("look at ") else ""
            note(f"{stage}: will take about {left / 60:.0f} min{looks}")

    @contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """Show a stage that cannot count its steps."""
        self(stage, 0, 1)
        if self._progress is not None and stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=None)
        yield
        self(stage, 1, 1)

    def _draw(self, progress: Progress, stage: str, done: int, total: int, seconds: float) -> None:
        if done >= total:
            task = self._tasks.pop(stage, None)
            if task is not None:
                progress.remove_task(task)
        elif stage in self._tasks:
            progress.update(self._tasks[stage], completed=done, total=total)
        elif seconds > self.after:
            self._tasks[stage] = progress.add_task(stage, completed=done, total=total)

    def _tell(self, stage: str, done: int, total: int, seconds: float) -> None:
        if done >= total:
            self._spoke.pop(stage, None)
            note(f"{stage}: {seconds:.1f} s")
        elif done and seconds - self._spoke.get(stage, 0.0) > WAIT:
            self._spoke[stage] = seconds
            note(f"{stage}: {done:,} of {total:,}, about {seconds * (total - done) / done:.0f} s left")
