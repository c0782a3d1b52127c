"""Places in the user's code, for reasons that a person can look up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_OURS = re.compile(r"[/\\]torch[/\\]|[/\\]secateurs[/\\](?!zoo)|<")


@lru_cache(maxsize=4096)
def _is_users(filename: str) -> bool:
    return _OURS.search(filename) is None


def user_line(frames: Sequence[tuple[str, int]]) -> str:
    """The innermost of (file, line) frames outside PyTorch and this package, as `file.py:12`; "" if all are inside."""
    for filename, line in reversed(frames):
        if _is_users(filename):
            return f"{_short(filename)}:{line}"
    return ""


@lru_cache(maxsize=4096)
def _short(filename: str) -> str:
    return filename.replace("\\", "/").rpartition("/")[2]


def location_of(error: BaseException) -> str:
    """File and line, in the user's own code where possible, at which an exception was raised."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return user_line(frames)
