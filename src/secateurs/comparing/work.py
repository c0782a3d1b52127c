"""Pieces of work to their records: what is done is not done again, what is lost is tried once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secateurs.comparing.executors import Lost, Run
from secateurs.comparing.records import Ranked, Record, Scored
from secateurs.comparing.state import State
from secateurs.comparing.tasks import Task


def carried_out(run: Run, state: State, tasks: Sequence[Task]) -> Iterator[Record]:
    """The records of all pieces of work as they come, each in its file.

    A piece whose worker was lost is tried once more, cell by cell; a cell whose worker is lost again is a record with
    the reason.

    Args:
        run: Works on them.
        state: The files.
        tasks: The pieces.
    """
    again: list[Task] = []
    for task, found in run(tasks):
        if not isinstance(found, Lost):
            yield from _kept(state, found)
            continue
        done = [record for key in task.keys if (record := _done(state, key)) is not None]
        yield from done
        again.extend(task.parts([record.key for record in done]))
    for task, found in run(again):
        yield from _kept(state, task.lost(found.reason) if isinstance(found, Lost) else found)


def _kept(state: State, records: Sequence[Record]) -> Iterator[Record]:
    """Write those that no worker has written: of another machine, or what failed."""
    for record in records:
        if state.done(type(record), record.key) is None:
            state.write(record)
        yield record


def _done(state: State, key: str) -> Record | None:
    return state.done(Scored, key) or state.done(Ranked, key)
