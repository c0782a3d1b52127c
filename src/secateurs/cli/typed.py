"""The command as it was typed, for messages that say how to go on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

_TYPED: list[str] = []


def remember(arguments: Sequence[str]) -> None:
    """Keep what follows `secateurs` in this run."""
    _TYPED[:] = arguments


def command() -> str:
    """The whole command, as a shell takes it; under `torchrun` with the number of processes on this machine.

    Example:
        >>> remember(["tune", "my net", "--epochs", "3"])
        >>> command()
        "secateurs tune 'my net' --epochs 3"
    """
    started = ["secateurs"]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        here, world = (os.environ.get(name, "1") for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        machines = [] if here == world else ["--nnodes", str(int(world) // int(here))]
        started = ["torchrun", *machines, "--nproc-per-node", here, "-m", "secateurs"]
    return shlex.join([*started, *_TYPED])
