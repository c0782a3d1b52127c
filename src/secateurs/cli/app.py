"""The command `secateurs`: its list of commands, and what a mistake looks like."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from secateurs.cli import INTERRUPTED, TERMINATED, signals, streams, typed
from secateurs.cli.compare import compare
from secateurs.cli.console import note
from secateurs.cli.demo import demo
from secateurs.cli.evaluate import evaluate
from secateurs.cli.export import export
from secateurs.cli.inspect import inspect
from secateurs.cli.methods import methods
from secateurs.cli.prune import prune
from secateurs.cli.report import report
from secateurs.cli.tune import tune
from secateurs.errors import InputError, SecateursError

_COMPLETE = "_SECATEURS_COMPLETE"
_COMMANDS = (demo, methods, inspect, prune, compare, tune, evaluate, export, report)

# typer keeps the base class of its usage errors to itself (it was click's, and is its own by now).
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="secateurs",
    help="Makes trained CNNs smaller by removing the filters that others can stand in for, and proves it.",
    no_args_is_help=True,
    add_completion=True,
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
        False, "-V", "--version", callback=_version, is_eager=True, help="Say which release this is."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status; see `secateurs.cli.main`."""
    streams.prepare()
    signals.listen()
    if not sys.warnoptions:  # what PyTorch plans to change is no news to a user of this command
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
    code = status(sys.argv[1:] if arguments is None else arguments)
    signals.ignore()  # what is done is done
    sys.exit(code)


def status(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status.

    Example:
        >>> status(["--version"])
        secateurs 0.1.0
        0
    """
    typed.remember(arguments)
    if typed.left_to_the_first():
        return 0
    try:
        given = with_ray(with_json(arguments))
        _once(given)
        code = app(args=given, prog_name="secateurs", standalone_mode=False)
        if code == INTERRUPTED:
            return _stopped(signals.Interrupted)
        return code if isinstance(code, int) else 0
    except SystemExit as leaving:
        # A completion's; or rich's answer to a reader of typer's help who has left, which is no error of ours.
        return int(leaving.code or 0) if _COMPLETE in os.environ else 0
    except (signals.Interrupted, KeyboardInterrupt, typer.Abort):
        return _stopped(signals.Interrupted)
    except signals.Terminated:
        return _stopped(signals.Terminated)
    except SecateursError as problem:
        return _fail(str(problem), problem.exit_status)
    except BrokenPipeError:
        streams.drop(sys.stdout)
        return 0
    except _UsageError as problem:
        return _usage(problem)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        return _fail(f"{where}{problem.strerror or problem}{_remedy(problem)}", 1)
    except Exception as problem:
        return _fail(_memory(problem), 1) if _out_of_memory(problem) else _bug(problem)


def _once(arguments: Sequence[str], commands: typer.Typer = app) -> None:
    """Refuse an option given twice of which but the last would count.

    Raises:
        InputError: There is one.
    """
    every: Any = typer.main.get_command(commands)
    name = typed.named(arguments)
    params = every.commands[name].params if name in every.commands else []
    options = [param for param in params if not param.multiple and param.param_type_name == "option"]
    once = {spelt: option.opts[0] for option in options for spelt in (*option.opts, *option.secondary_opts)}
    twice = typed.repeated(arguments, once)
    if twice is not None:
        raise InputError(f"{twice} is given twice; give it once. See: secateurs {name} --help")


def with_json(arguments: Sequence[str]) -> list[str]:
    """Arguments in which every `--json` has a file, `-` where none was named.

    What follows `--json` is its file if it is `-` or ends like a file's name (`found.json`); anything else is
    the next argument. `--json=FILE` takes any name.

    Example:
        >>> with_json(["inspect", "--json", "resnet20"]), with_json(["inspect", "resnet20", "--json", "a.json"])
        (['inspect', '--json=-', 'resnet20'], ['inspect', 'resnet20', '--json=a.json'])
    """
    found: list[str] = []
    for argument in arguments:
        if found and found[-1] == "--json":
            found.pop()
            if _names_a_file(argument):
                found.append(f"--json={argument}")
                continue
            found.append("--json=-")
        found.append(argument)
    return [*found[:-1], "--json=-"] if found and found[-1] == "--json" else found


def with_ray(arguments: Sequence[str]) -> list[str]:
    """Arguments in which every `--ray` has an address, `here` where none was named.

    What follows `--ray` is its address if it looks like one: `auto`, `ray://HOST:PORT`, or `HOST:PORT`.

    Example:
        >>> with_ray(["compare", "--ray", "resnet20"]), with_ray(["compare", "--ray", "node:6379", "resnet20"])
        (['compare', '--ray=here', 'resnet20'], ['compare', '--ray=node:6379', 'resnet20'])
    """
    found, rest = list[str](), deque(arguments)
    while rest:
        argument = rest.popleft()
        if argument == "--ray":
            named = bool(rest) and re.fullmatch(r"auto|ray://\S+|[\w.-]+:\d+", rest[0]) is not None
            argument = f"--ray={rest.popleft() if named else 'here'}"
        found.append(argument)
    return found


def _names_a_file(argument: str) -> bool:
    name = os.path.basename(argument)
    return argument == "-" or (
        not argument.startswith("-")
        and ":" not in argument
        and not os.path.isdir(argument)
        and "." in name[1:]
    )


def _stopped(kind: type[BaseException]) -> int:
    word, code = ("terminated", TERMINATED) if kind is signals.Terminated else ("interrupted", INTERRUPTED)
    signals.noticed()
    note(f"{word}; nothing half-written was left")
    return code


def _fail(sentence: str, code: int) -> int:
    stop = signals.noticed()
    if stop is not None:  # whatever went wrong, it did so on being stopped
        return _stopped(stop)
    note(sentence)
    return code


def _usage(problem: Exception) -> int:
    """Typer's own findings (an unknown option, a missing argument), in our one line."""
    text = getattr(problem, "format_message", lambda: str(problem))()
    if not text:  # `secateurs` alone has shown its help
        return 2
    text = re.sub(r"Input should be a valid integer.*", "give a whole number", text)
    text = re.sub(r"Input should be a valid number.*", "give a number", text)
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


def _out_of_memory(problem: Exception) -> bool:
    """PyTorch has an error of its own for accelerators alone, and a sentence for the CPU."""
    words = ("not enough memory", "DefaultCPUAllocator", "out of memory")
    return isinstance(problem, MemoryError) or (
        isinstance(problem, RuntimeError) and any(word in str(problem) for word in words)
    )


def _memory(problem: Exception) -> str:
    said = f" ({_first_line(problem)})" if str(problem) else ""
    return f"out of memory{said}; calibrate on fewer samples (--calibrate), or close other programs"


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0][:200]


def _remedy(problem: OSError) -> str:
    return "; make room there and run again" if problem.errno in (errno.ENOSPC, errno.EDQUOT) else ""
