"""The command as it was typed: how to go on with it, and which processes of `torchrun` carry it out."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Mapping, Sequence

_TYPED: list[str] = []


TOGETHER = ("tune", "evaluate")
"""Commands that all processes of `torchrun` carry out together."""


def left_to_the_first() -> bool:
    """Whether this is a process of `torchrun` that has nothing to do, as the first carries the command out alone.

    Example:
        >>> left_to_the_first()
        False
    """
    name = named(_TYPED)
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0" and name not in TOGETHER


def named(arguments: Sequence[str]) -> str:
    """The name of the command among what follows `secateurs`, empty where there is none.

    Example:
        >>> named(["-V", "prune", "net"]), named(["--help"])
        ('prune', '')
    """
    return next((word for word in arguments if not word.startswith("-")), "")


def remember(arguments: Sequence[str]) -> None:
    """Keep what follows `secateurs` in this run."""
    _TYPED[:] = arguments


def repeated(arguments: Sequence[str], once: Mapping[str, str]) -> str | None:
    """The first option of those that may stand there but once that stands there twice, as its long name.

    Args:
        arguments: What follows the name of a command.
        once: Long names of options by every spelling of theirs.

    Example:
        >>> once = {"--macs": "--macs", "-o": "--out", "--out": "--out"}
        >>> repeated(["net", "--macs", "0.5", "--macs=0.7"], once), repeated(["-o", "a", "--out", "b"], once)
        ('--macs', '--out')
        >>> repeated(["--macs", "0.5", "--", "--macs"], once)
    """
    seen: set[str] = set()
    for argument in itertools.takewhile(lambda word: word != "--", arguments):
        name = once.get(argument.partition("=")[0])
        if name in seen:
            return name
        seen.update(() if name is None else (name,))
    return None


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
