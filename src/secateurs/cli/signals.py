"""Ctrl-C and SIGTERM, which end a run in one line and with its temporary folders removed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

AGAIN = 0.05
"""Seconds after which an interruption that met an import is tried again."""

_CAME: list[type[BaseException]] = []


class Interrupted(BaseException):
    """The user pressed Ctrl-C.

    It is no `KeyboardInterrupt`: once one has passed through `exec`, Python ends by the signal, whatever status is
    asked for.
    """


class Terminated(BaseException):
    """The process was asked to end by SIGTERM; temporary folders are removed on the way out."""


def listen() -> None:
    """Let SIGINT raise an `Interrupted` and SIGTERM a `Terminated`, and see to it that they arrive."""
    sys.unraisablehook = _quiet(sys.unraisablehook)
    signal.signal(signal.SIGINT, _raising(Interrupted))
    signal.signal(signal.SIGTERM, _raising(Terminated))


def ignore() -> None:
    """Let neither signal change the status of a run that has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def noticed() -> type[BaseException] | None:
    """What came, whatever has become of it on its way; it is not repeated any more."""
    if _CAME and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    return _CAME[-1] if _CAME else None


def _raising(kind: type[BaseException]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        _CAME.append(kind)
        # Extension modules that are being imported swallow what is raised, raise something else, or abort.
        if _importing(frame) and _again(kind):
            return
        raise kind

    return handle


def _again(kind: type[BaseException]) -> bool:
    """Have it raised a little later, where the system has a timer for that."""
    if not hasattr(signal, "setitimer"):
        return False
    signal.signal(signal.SIGALRM, _raising(kind))
    signal.setitimer(signal.ITIMER_REAL, AGAIN)
    return True


def _quiet(before: Callable[[Any], object]) -> Callable[[Any], object]:
    """A hook that raises anew what a signal raised and a callback or `__del__` has swallowed."""

    def hook(report: Any) -> None:
        if report.exc_type not in (Interrupted, Terminated) or not _again(report.exc_type):
            before(report)

    return hook


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
