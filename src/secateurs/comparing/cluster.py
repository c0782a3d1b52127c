"""Cells on a cluster: Ray actors, or jobs of SLURM by submitit. Both are extras, imported when they are used."""

from __future__ import annotations

import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import cloudpickle
import torch

from secateurs.checks import check_whole
from secateurs.comparing.bench import Bench
from secateurs.comparing.executors import Lost, Outcome, Run, cores, packed_for_others
from secateurs.comparing.records import Record
from secateurs.comparing.tasks import Task
from secateurs.errors import InputError, RunError

POLL = 0.5
"""Seconds between two looks at the jobs of SLURM."""
ARRAY = 1000
"""Jobs that are handed to SLURM at a time, which allows 1,001 in an array by default."""


def extra(package: str, name: str) -> Any:
    """A package that is an extra.

    Raises:
        InputError: It is not installed; says how it is.

    Example:
        >>> extra("json", "ray").__name__
        'json'
    """
    try:
        return import_module(package)
    except ImportError as problem:
        raise InputError(
            f"executor: {package} cannot be imported ({problem}); pip install 'secateurs[{name}]'."
        ) from None


@dataclass(frozen=True)
class Ray:
    """Actors on a Ray cluster, each with the network and the data, each with one thread and one core.

    Attributes:
        address: Of a cluster that runs, as `ray.init` takes it ("auto", "ray://host:10001"); None starts one here for
            the time of the comparison.
        jobs: How many actors; by default as many as the cluster has cores.

    Example:
        >>> Ray(jobs=2)
        Ray(address=None, jobs=2)
    """

    address: str | None = None
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None:
            check_whole("jobs", self.jobs)

    @contextmanager
    def opened(self, bench: Bench) -> Iterator[Run]:
        """Join the cluster, and leave it with the block.

        Raises:
            InputError: Ray is not installed, or the network or the data cannot be sent.
            RunError: The cluster cannot be reached.
        """
        ray, packed = extra("ray", "ray"), packed_for_others(bench)
        own = not ray.is_initialized()
        if own:
            _connect(ray, self.address, self.jobs)
        try:
            most = self.jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
            shared, idle = ray.put(packed), list[Any]()
            yield lambda tasks: _on_actors(ray, shared, idle, tasks, most)
        finally:
            if own:
                ray.shutdown()


def _connect(ray: Any, address: str | None, jobs: int | None) -> None:
    here = {"num_cpus": jobs or cores(), "include_dashboard": False} if address is None else {}
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, **here)
    except Exception as problem:
        first = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise RunError(f"executor: Ray cannot be reached at {address or 'this machine'} ({first}).") from None


def _on_actors(ray: Any, packed: Any, idle: list[Any], tasks: Sequence[Task], most: int) -> Iterator[Outcome]:
    """Hand a piece of work to every actor that has none, until all are done; actors stay for the next time."""
    kind = ray.remote(num_cpus=1, max_restarts=0)(Actor)
    waiting = deque(tasks)
    running: dict[Any, tuple[Any, Task]] = {}
    while waiting or running:
        while waiting and len(running) < most:
            actor = idle.pop() if idle else kind.remote(packed)
            task = waiting.popleft()
            running[actor.carry_out.remote(cloudpickle.dumps(task))] = (actor, task)
        (reference, *_), _ = ray.wait(list(running), num_returns=1)
        actor, task = running.pop(reference)
        try:
            found = ray.get(reference)
        except ray.exceptions.RayError as problem:
            yield task, Lost(_first("the Ray actor that worked on it was lost", problem))
        else:
            idle.append(actor)
            yield task, found


class Actor:
    """What a Ray worker holds: everything that cells share, unpacked once."""

    def __init__(self, packed: bytes) -> None:
        torch.set_num_threads(1)
        self.bench: Bench = cloudpickle.loads(packed)

    def carry_out(self, task: bytes) -> tuple[Record, ...]:
        """The records of a piece of work."""
        given: Task = cloudpickle.loads(task)
        return given(self.bench)


@dataclass(frozen=True)
class Slurm:
    """Jobs of SLURM, one for each removal with its repairs, by submitit.

    The folder of the comparison has to be on a file system that all nodes see. What a job is given lies in a folder
    inside it, as submitit's pickles, for the time of the run.

    Attributes:
        partition: Where they run; None for SLURM's default.
        jobs: At most so many at once.
        cluster: "slurm"; or "local" and "debug", which run submitit's jobs on this machine.
        more: Further parameters of submitit's executor, such as {"timeout_min": 240, "mem_gb": 16}.

    Example:
        >>> Slurm("gpu", jobs=16).cluster
        'slurm'
    """

    partition: str | None = None
    jobs: int = 32
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_whole("jobs", self.jobs)

    @contextmanager
    def opened(self, bench: Bench) -> Iterator[Run]:
        """Put what jobs need into a folder that they see, and remove it with the block.

        Raises:
            InputError: submitit is not installed, or the network or the data cannot be sent.
            RunError: SLURM cannot be used here.
        """
        submitit, packed = extra("submitit", "slurm"), packed_for_others(bench)
        folder = bench.folder / f".jobs-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        try:
            (folder / "bench.pkl").write_bytes(packed)
            executor = self._executor(submitit, folder)
            yield lambda tasks: self._run(executor, folder / "bench.pkl", tasks)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, executor: Any, bench: Path, tasks: Sequence[Task]) -> Iterator[Outcome]:
        at_once = ARRAY if self.cluster == "slurm" else self.jobs
        for start in range(0, len(tasks), at_once):
            yield from _as_they_end(executor, bench, tasks[start : start + at_once])

    def _executor(self, submitit: Any, folder: Path) -> Any:
        try:
            executor = submitit.AutoExecutor(folder=folder / "jobs", cluster=self.cluster)
            asked = {"cpus_per_task": 1, "timeout_min": 240, **self.more}
            if self.cluster == "slurm":
                asked["slurm_array_parallelism"] = self.jobs
                asked.update({} if self.partition is None else {"slurm_partition": self.partition})
            executor.update_parameters(**asked)
            return executor
        except Exception as problem:
            raise RunError(_first("executor: SLURM cannot be used here", problem)) from None


def _as_they_end(executor: Any, bench: Path, tasks: Sequence[Task]) -> Iterator[Outcome]:
    """Hand in an array of jobs, and give each piece of work back when its job has ended."""
    try:
        with executor.batch():
            handed = [executor.submit(job, bench, task) for task in tasks]
    except Exception as problem:
        raise RunError(_first("executor: the jobs could not be handed in", problem)) from None
    waiting = list(zip(handed, tasks, strict=True))
    try:
        while waiting:
            ended = [pair for pair in waiting if pair[0].done()]
            for pair in ended:
                waiting.remove(pair)
                yield pair[1], _result(pair[0])
            if not ended:
                time.sleep(POLL)
    finally:
        for each, _ in waiting:
            each.cancel()


def _result(ended: Any) -> tuple[Record, ...] | Lost:
    try:
        found: tuple[Record, ...] = ended.result()
        return found
    except Exception as problem:
        return Lost(_first("the job that worked on it was lost", problem))


def job(bench: Path, task: Task) -> tuple[Record, ...]:
    """Carry out a piece of work on another machine.

    Args:
        bench: A file that this run has written.
        task: The piece of work.
    """
    torch.set_num_threads(1)
    shared: Bench = cloudpickle.loads(bench.read_bytes())
    return task(shared)


def _first(what: str, problem: BaseException) -> str:
    first = (str(problem).strip() or type(problem).__name__).splitlines()[0]
    return f"{what} ({type(problem).__name__}: {first[:200]})"
