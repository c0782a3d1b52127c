"""Where cells are worked on: in this process, or in several on this machine. A lost worker costs what it worked on."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import cloudpickle
import torch
from joblib.externals.loky.process_executor import ProcessPoolExecutor

from secateurs.checks import check_whole
from secateurs.comparing.bench import Bench
from secateurs.comparing.records import Record
from secateurs.comparing.tasks import Task
from secateurs.errors import InputError

IDLE = 30.0
"""Seconds after which a worker without work ends, also where the process that started it was killed."""


@dataclass(frozen=True)
class Lost:
    """A worker is gone, and what it was working on with it."""

    reason: str


Outcome: TypeAlias = "tuple[Task, tuple[Record, ...] | Lost]"


Run: TypeAlias = Callable[[Sequence[Task]], Iterator[Outcome]]
"""Carries out pieces of work, in any order: each with its records when it is done, or with the loss of its worker."""


class Executor(Protocol):
    """Where cells are worked on."""

    def opened(self, bench: Bench) -> AbstractContextManager[Run]:
        """Have workers, which have what all cells share, for as long as the block lasts."""
        ...


@dataclass(frozen=True)
class Serial:
    """One piece of work after the other, in this process.

    Example:
        >>> with Serial().opened(None) as run:
        ...     list(run([]))
        []
    """

    @contextmanager
    def opened(self, bench: Bench) -> Iterator[Run]:
        """Work here."""
        yield lambda tasks: ((task, task(bench)) for task in tasks)


@dataclass(frozen=True)
class Processes:
    """Several processes on this machine, by joblib's process pools (loky), which take functions of any kind.

    Each worker is a pool of its own: one that dies, of too little memory perhaps, takes no other with it.

    Attributes:
        jobs: How many.
        threads: Threads of each; by default this process's, shared out.

    Example:
        >>> Processes(2)
        Processes(jobs=2, threads=None)
    """

    jobs: int
    threads: int | None = None

    def __post_init__(self) -> None:
        check_whole("jobs", self.jobs)
        if self.threads is not None:
            check_whole("threads", self.threads)

    @contextmanager
    def opened(self, bench: Bench) -> Iterator[Run]:
        """Start processes as they are needed, and end them with the block.

        Raises:
            InputError: The network or the data cannot be sent to another process.
        """
        workers = _Workers(packed_for_others(bench), threads_each(self.jobs, self.threads), self.jobs)
        try:
            yield workers.run
        finally:
            workers.end()


class _Workers:
    """Processes, each of which has what all cells share."""

    def __init__(self, packed: bytes, threads: int, most: int) -> None:
        self.packed, self.threads, self.most = packed, threads, most
        self.idle: list[Any] = []
        self.running: dict[Future[tuple[Record, ...]], tuple[Any, Task]] = {}

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Hand a piece of work to every worker that has none, until all are done."""
        waiting = deque(tasks)
        while waiting or self.running:
            while waiting and len(self.running) < self.most:
                worker = self.idle.pop() if self.idle else self._begun()
                task = waiting.popleft()
                self.running[worker.submit(_carried_out, task)] = (worker, task)
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                worker, task = self.running.pop(future)
                problem = future.exception()
                if problem is None:
                    self.idle.append(worker)
                    yield task, future.result()
                else:
                    worker.shutdown(wait=False, kill_workers=True)
                    yield task, Lost(_said(problem))

    def end(self) -> None:
        """End all of them, whatever they are doing."""
        for worker in (*self.idle, *(worker for worker, _ in self.running.values())):
            worker.shutdown(wait=False, kill_workers=True)

    def _begun(self) -> Any:
        given = (self.packed, self.threads)
        return ProcessPoolExecutor(max_workers=1, timeout=IDLE, initializer=_begin, initargs=given)


def packed_for_others(bench: Bench) -> bytes:
    """What all cells share, as bytes for another process of this run.

    Raises:
        InputError: The network or the data cannot be sent.
    """
    try:
        return bytes(cloudpickle.dumps(bench))
    except Exception as problem:
        raise InputError(
            f"executor: the network, the data or a method cannot be sent to other processes ({type(problem).__name__}: "
            f"{str(problem)[:200]}); compare in one process."
        ) from problem


def threads_each(jobs: int, asked: int | None) -> int:
    """Threads of each of several processes.

    Example:
        >>> threads_each(10**6, None), threads_each(2, 3)
        (1, 3)
    """
    return asked if asked is not None else max(1, torch.get_num_threads() // jobs)


_BENCH: list[Bench] = []
"""In a worker, and only there: what it was sent when it began."""


def _begin(packed: bytes, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the user started
    torch.set_num_threads(threads)
    _BENCH[:] = [cloudpickle.loads(packed)]


def _carried_out(task: Task) -> tuple[Record, ...]:
    return task(_BENCH[0])


def _said(problem: BaseException) -> str:
    first = (str(problem).strip() or type(problem).__name__).splitlines()[0]
    return f"the process that worked on it ended ({type(problem).__name__}: {first[:200]})"


def cores() -> int:
    """Cores that this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
