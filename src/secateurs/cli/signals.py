"""Ctrl-C and SIGTERM, which end a run in one line and with its temporary folders removed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

AGAIN = 0.5
"""Seconds after which an interruption of an import is repeated."""

_CAME: list[type[BaseException]] = []


class Terminated(BaseException):
    """The process was asked to end by SIGTERM; temporary folders are removed on the way out."""


def listen() -> None:
    """Let SIGINT raise a `KeyboardInterrupt` and SIGTERM a `Terminated`, and see to it that they arrive."""
    signal.signal(signal.SIGINT, _raising(KeyboardInterrupt))
    signal.signal(signal.SIGTERM, _raising(Terminated))


def noticed() -> type[BaseException] | None:
    """What came, whatever has become of it on its way; it is not repeated any more."""
    if _CAME and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    return _CAME[-1] if _CAME else None


def _raising(kind: type[BaseException]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        _CAME.append(kind)
        # Extension modules swallow what is raised while they are imported, or raise something else instead.
        if hasattr(signal, "setitimer") and _importing(frame):
            signal.signal(signal.SIGALRM, handle)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise kind

    return handle


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
