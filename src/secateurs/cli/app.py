"""The command `secateurs`: its list of commands, and what a mistake looks like."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import typer

from secateurs.cli.demo import demo
from secateurs.cli.evaluate import evaluate
from secateurs.cli.export import export
from secateurs.cli.inspect import inspect
from secateurs.cli.methods import methods
from secateurs.cli.prune import prune
from secateurs.cli.report import report
from secateurs.errors import SecateursError

INTERRUPTED = 130
_COMMANDS = (demo, methods, inspect, prune, evaluate, export, report)

# typer keeps the base class of its usage errors to itself (it was click's, and is its own by now).
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="secateurs",
    help="Makes trained CNNs smaller by removing the filters that others can stand in for, and proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in _COMMANDS:
    app.command()(_command)


def _version(asked: bool) -> None:
    if asked:
        import secateurs

        print(f"secateurs {secateurs.__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Say which release this is."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status.

    0 is done, 1 means that the run could not do what was asked, 2 bad arguments or bad input, 130 an
    interruption. A mistake gives one sentence on the standard error.

    Args:
        arguments: What follows `secateurs`; None takes them from the process.
    """
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(status(arguments))


def status(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Example:
        >>> status(["--version"])
        secateurs 0.1.0
        0
    """
    try:
        code = app(
            args=None if arguments is None else list(arguments), prog_name="secateurs", standalone_mode=False
        )
        if code == INTERRUPTED:
            return _fail("interrupted; nothing was written", INTERRUPTED)
        return code if isinstance(code, int) else 0
    except SecateursError as problem:
        return _fail(str(problem), problem.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted; nothing was written", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; Python's own flush at exit must not complain about it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _UsageError as problem:
        return _usage(problem)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        return _fail(f"{where}{problem.strerror or problem}", 1)
    except Exception as problem:
        return _bug(problem)


def _fail(sentence: str, code: int) -> int:
    text = " ".join(sentence.split())
    print(f"secateurs: {text}", file=sys.stderr, flush=True)
    return code


def _usage(problem: Exception) -> int:
    """Typer's own findings (an unknown option, a missing argument), in our one line."""
    text = getattr(problem, "format_message", lambda: str(problem))()
    if not text:  # `secateurs` alone has shown its help
        return 2
    context = getattr(problem, "ctx", None)
    command = getattr(context, "command_path", "secateurs") or "secateurs"
    text = text if text.endswith((".", "?", ")")) else f"{text}."
    return _fail(f"{text[0].lower()}{text[1:]} See: {command} --help", 2)


def _bug(problem: Exception) -> int:
    """Something nobody foresaw: one line, and all of it for those who ask."""
    if os.environ.get("SECATEURS_TRACEBACK"):
        traceback.print_exc()
    kind = type(problem).__name__
    last = traceback.extract_tb(problem.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return _fail(
        f"unexpected {kind} in {place} ({str(problem)[:300]}); please "
        "report it, with what SECATEURS_TRACEBACK=1 in the environment shows",
        1,
    )


def _terminated(number: int, frame: FrameType | None) -> None:
    """A polite kill ends like Ctrl-C, so that temporary folders are removed."""
    raise KeyboardInterrupt
