"""The standard streams as a shell hands them over: closed, redirected, of an old encoding, left by their reader."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TextIO

from secateurs.errors import RunError

_PLAINER = {"−": "-", "→": "->", "±": "+-", "×": "x", "…": "...", "–": "-", "•": "*"}
_ERRORS = "secateurs.plainer"
# They change the order in which a terminal shows what follows.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def prepare() -> None:
    """Make the standard streams ones that anything can be written to.

    A closed stream is replaced by the null device, so that no file of ours gets its number. A character that the
    encoding of a stream lacks is written as a plainer one, or as its escape.
    """
    codecs.register_error(_ERRORS, plainer)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def plainer(problem: UnicodeError) -> tuple[str, int]:
    r"""Replace what a stream's encoding cannot express, as an error handler of `codecs`.

    Example:
        >>> codecs.register_error("doctest.plainer", plainer)
        >>> "−1.2 → €".encode("ascii", "doctest.plainer")
        b'-1.2 -> \\u20ac'
    """
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    part = problem.object[problem.start : problem.end]
    escaped = (_PLAINER.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in part)
    return "".join(escaped), problem.end


def printable(text: str) -> str:
    r"""Text of a file or a model with its control characters escaped, so that it cannot command a terminal.

    Line breaks and tabs stay.

    Example:
        >>> printable("layer\x1b[31m.weight")
        'layer\\x1b[31m.weight'
    """
    return "".join(_escaped(c) if _commands(c) else c for c in text)


def _commands(character: str) -> bool:
    return character in _TURNING or (character not in "\n\t" and unicodedata.category(character) == "Cc")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def write(stream: TextIO, text: str) -> None:
    """Write text and flush; a reader who has left (`| head`) gets no more, and the run goes on.

    Raises:
        RunError: The standard output cannot be written to for another reason, such as a full disk. What cannot be
            said on the standard error is dropped.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as problem:
        drop(stream)
        if stream is sys.stdout and not isinstance(problem, BrokenPipeError):
            raise RunError(
                f"the standard output cannot be written ({problem.strerror}); what the command made is in its place"
            ) from problem


def drop(stream: TextIO) -> None:
    """Send the rest of a stream nowhere; what is in its buffer too, or Python complains at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
