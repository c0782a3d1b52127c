"""Where a training runs: one process or many, by Lightning Fabric, and what a lost one looks like."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from secateurs.errors import InputError

_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "gloo",
    "NCCL",
    "timed out",
    "Timed out",
    "DataLoader worker",
)


def processes() -> tuple[int, int]:
    """This process's number and how many there are, as `torchrun` says.

    Example:
        >>> processes()
        (0, 1)
    """
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[int, int]]:
    """Have the processes that `torchrun` started find each other for as long as the block lasts.

    Args:
        device: Where this process's network lies.

    Yields:
        This process's number and how many there are; one where there is no `torchrun`.

    Example:
        >>> with joined(torch.device("cpu")) as found:
        ...     found
        (0, 1)
    """
    found = processes()
    if found[1] == 1 or torch.distributed.is_initialized():
        yield found
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield found
    finally:
        torch.distributed.destroy_process_group()


def fabric_on(device: torch.device, precision: str) -> Any:
    """A Fabric for a network that lies on `device`: alone, or one of the processes that `torchrun` started.

    Under `torchrun` every process takes the accelerator of its own number on its machine.

    Args:
        device: Where the network lies.
        precision: "32", "bf16" or "16".

    Raises:
        InputError: Lightning Fabric is missing.
    """
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise InputError(
            'training needs Lightning Fabric, which is not installed: pip install "secateurs[tune]".'
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    _, world = processes()
    modes = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
    settings: dict[str, Any] = {"accelerator": device.type, "precision": modes[precision]}
    if world > 1:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        settings.update(devices=here, num_nodes=world // here, strategy="ddp")
    else:
        settings["devices"] = 1 if device.type == "cpu" else [device.index or 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fabric = Fabric(**settings)
        fabric.launch()
    return fabric


def is_lost(problem: Exception) -> bool:
    """Whether an error says that another process, or one that reads data, is gone.

    Example:
        >>> is_lost(RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:3")), is_lost(RuntimeError("shapes"))
        (True, False)
    """
    return isinstance(problem, RuntimeError) and any(word in str(problem) for word in _LOST)


def is_of_compiler(problem: Exception) -> bool:
    """Whether an error comes from `torch.compile`, such as where no C++ compiler is found.

    Example:
        >>> is_of_compiler(RuntimeError("shapes"))
        False
    """
    return any(kind.__name__ == "TorchDynamoException" for kind in type(problem).__mro__)
