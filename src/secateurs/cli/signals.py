"""Ctrl-C and SIGTERM, which end a run in one line and with its temporary folders removed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

AGAIN = 0.5
"""Seconds after which an interruption of an import is repeated."""

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
        # Extension modules swallow what is raised while they are imported, or raise something else instead.
        if hasattr(signal, "setitimer") and _importing(frame):
            signal.signal(signal.SIGALRM, handle)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise kind

    return handle


def _quiet(before: Callable[[Any], object]) -> Callable[[Any], object]:
    """A hook that is silent where a callback or `__del__` has swallowed what a signal raised: it comes again."""

    def hook(report: Any) -> object:
        return None if report.exc_type in (Interrupted, Terminated) else before(report)

    return hook


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
