"""The command line: typed functions over the same objects as in Python."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

__all__ = ["main"]

INTERRUPTED = 130
TERMINATED = 143


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status.

    0 is done, 1 means that the run could not do what was asked, 2 bad arguments or bad input, 130 an
    interruption, 143 a termination. A mistake gives one sentence on the standard error.

    Args:
        arguments: What follows `secateurs`; None takes them from the process.
    """
    # Until the command runs there is nothing to clear away, and modules that are being imported catch exceptions.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # Read by OpenMP when torch is loaded. Its threads would otherwise spin while they wait for each other, which
    # beside other processes multiplies the time of a run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from secateurs.cli.app import main as run

    run(arguments)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    word, code = ("interrupted", INTERRUPTED) if number == signal.SIGINT else ("terminated", TERMINATED)
    try:
        os.write(2, f"secateurs: {word}\n".encode())
    finally:
        os._exit(code)
