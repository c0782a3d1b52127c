"""The arguments that several commands share, as types that typer reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from secateurs.errors import InputError

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|DIR",
        help="A zoo name (resnet56), torchvision:NAME, timm:NAME, package.module:callable, or an output DIR.",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="F", help="Weights of MODEL, a .safetensors file.", show_default=False),
]
BuiltBy = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="SPEC",
        help="For a DIR: what builds its network, such as package.module:callable; runs that code.",
        show_default=False,
    ),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="For a DIR: run whatever code it names to build its network.")
]
_DATA = typer.Option(
    metavar="SPEC",
    help="digits, cifar10:PATH, imagefolder:PATH, esc50:PATH and other sound, or package.module:callable.",
    show_default=False,
)
Data = Annotated[str | None, _DATA]
NeededData = Annotated[str, _DATA]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="1,3,224,224",
        help="Shape of one input, batch first; once for every input of a network of several.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is drawn at random.")]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="[FILE]",
        help="Print the numbers as JSON and nothing else; with FILE, write them there instead.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Where the network runs: cpu, cuda, cuda:1, mps.")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Threads of the CPU; by default as many as the network gains from, measured at the start.",
        show_default=False,
    ),
]


def quiet(as_json: Path | None) -> bool:
    """Whether JSON has the standard output to itself.

    Example:
        >>> quiet(None), quiet(Path("-")), quiet(Path("found.json"))
        (False, True, False)
    """
    return str(as_json) == "-"


def number(text: str) -> float:
    """The number in an option; typer names the option in what it makes of a mistake.

    Raises:
        BadParameter: It is not a number.

    Example:
        >>> number("0.5")
        0.5
    """
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a number") from None


def number_or_text(given: float | str) -> float | str:
    """A number where the text of an option is one, else the text, which may have a unit.

    Example:
        >>> number_or_text("0.5"), number_or_text("30M")
        (0.5, '30M')
    """
    try:
        return float(given)
    except ValueError:
        return given


def share(text: str) -> Any:
    """An option for a share that stays."""
    return typer.Option(
        metavar="0.5", parser=number, help=f"Share of the {text} that stays.", show_default=False
    )


def shapes(texts: list[str] | None) -> list[tuple[int, ...]]:
    """The shapes in the `--input` options.

    Raises:
        InputError: One is not a list of positive whole numbers.

    Example:
        >>> shapes(["1,3,32,32", "1,10"]), shapes(None)
        ([(1, 3, 32, 32), (1, 10)], [])
    """
    return [_shape(text) for text in texts or []]


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(
            f"--input {text}: has to be the shape of one input, batch first, such as 1,3,224,224"
        )
    return sizes


def exceptions(given: list[str]) -> dict[str, float]:
    """Shares by name pattern from `PATTERN=SHARE`.

    Raises:
        InputError: It is not of that form.

    Example:
        >>> exceptions(["layer1.*=1", "conv1=0.5"])
        {'layer1.*': 1.0, 'conv1': 0.5}
    """
    found = {}
    for text in given:
        pattern, _, share_ = text.rpartition("=")
        try:
            found[pattern] = float(share_)
        except ValueError:
            pattern = ""
        if not pattern:
            raise InputError(f"--layer {text}: give a pattern and a share, such as --layer 'layer1.*=0.5'")
    return found
