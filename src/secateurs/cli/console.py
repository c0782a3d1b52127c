"""What the commands print: tables on the standard output, progress and notes on the standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from secateurs.export import new_file

PLAIN_WIDTH = 140
"""Columns of a table in a file or a pipe, where there is no terminal to ask."""


def console(*, error: bool = False) -> Console:
    """The standard output, or the standard error, as rich sees it now."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(stderr=error, width=width, highlight=False, soft_wrap=False)


def note(text: str) -> None:
    """One line for the user's eyes only, on the standard error."""
    print(f"secateurs: {text}", file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Table:
    """A table whose first `left` columns are words and whose others are numbers."""
    made = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i < left else "right", overflow="fold", no_wrap=i >= left)
    for row in rows:
        made.add_row(*row)
    return made


def say(*parts: Any) -> None:
    """Print text or tables; text is taken literally, square brackets included."""
    out = console()
    for part in parts:
        out.print(part, markup=False, soft_wrap=isinstance(part, str))


def write_json(text: str, path: Path) -> None:
    """Write JSON to a file, whole or not at all, or to the standard output where the name is `-`.

    Raises:
        InputError: The file cannot be written.
    """
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@dataclass
class Bars:
    """A progress bar per stage, on a terminal, for stages that are not over at once; vanishes when done."""

    after: float = 0.7
    _progress: Progress | None = None
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Bars:
        if sys.stdout.isatty() and sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
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
        if self._progress is None:
            return
        start = self._since.setdefault(stage, time.monotonic())
        if done >= total:
            task = self._tasks.pop(stage, None)
            self._since.pop(stage)
            if task is not None:
                self._progress.remove_task(task)
        elif stage in self._tasks:
            self._progress.update(self._tasks[stage], completed=done, total=total)
        elif time.monotonic() - start > self.after:
            self._tasks[stage] = self._progress.add_task(stage, completed=done, total=total)

    def working(self, stage: str) -> Any:
        """A spinner around a stage that cannot count its steps."""
        if self._progress is None:
            return nullcontext()
        return _Spinner(self._progress, stage)


@dataclass
class _Spinner:
    """A bar without an end."""

    progress: Progress
    stage: str
    _task: TaskID | None = None

    def __enter__(self) -> None:
        self._task = self.progress.add_task(self.stage, total=None)

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self.progress.remove_task(self._task)
