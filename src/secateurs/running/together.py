"""Several processes of `torch.distributed` that work on one thing: sums over all, and what one makes for all."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from secateurs.errors import RunError, SecateursError

T = TypeVar("T")
_PATIENCE = timedelta(days=30)
"""How long processes wait for the first one's work; a lost process is noticed by its closed connection."""


def place() -> tuple[int, int]:
    """This process's number in the default group, and how many there are.

    Example:
        >>> place()
        (0, 1)
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, the same in each, where the tensor lies.

    Example:
        >>> summed(torch.ones(2))
        tensor([1., 1.])
    """
    if place()[1] == 1:
        return values
    nccl = torch.distributed.get_backend() == "nccl"
    total = values.to(torch.device("cuda", torch.cuda.current_device()) if nccl else "cpu", copy=True)
    torch.distributed.all_reduce(total)
    return total.to(values.device)


def gathered(value: T) -> list[T]:
    """What every process has, in their order; sent as pickles between the processes of this run.

    Example:
        >>> gathered("a")
        ['a']
    """
    world = place()[1]
    if world == 1:
        return [value]
    found: list[Any] = [None] * world
    torch.distributed.all_gather_object(found, value)
    return found


def by_first(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; all have to call this.

    Args:
        make: Called in the first process alone, however long it takes. What it returns is sent to the others as a
            pickle; so is what it raises, which then all processes raise.

    Raises:
        RunError: In the other processes, where the first failed by something else than an error of this library.

    Example:
        >>> by_first(lambda: 3)
        3
    """
    rank, world = place()
    if world == 1:
        return make()
    group = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    sent: list[Any] = [None]
    problem: Exception | None = None
    if rank == 0:
        try:
            sent = [(True, make())]
        except Exception as found:
            problem, sent = found, [(False, _sendable(found))]
    torch.distributed.broadcast_object_list(sent, src=0, group=group)
    torch.distributed.destroy_process_group(group)
    made, value = sent[0]
    if not made:
        raise problem or value
    return value  # type: ignore[no-any-return]


def _sendable(problem: Exception) -> Exception:
    if isinstance(problem, SecateursError):
        try:
            pickle.loads(pickle.dumps(problem))
            return problem
        except Exception:
            pass
    first = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
    return RunError(f"the first process failed ({type(problem).__name__}: {first})")
