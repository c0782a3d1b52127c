"""What the commands print: tables on the standard output, progress and notes on the standard error."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

from secateurs.cli.listing import Listing, lines
from secateurs.cli.streams import printable, write

UNBOUNDED = 100_000
"""Columns of a file or a pipe, where there is no edge to cut or wrap a line at."""


def console(*, error: bool = False) -> Console:
    """The standard output, or the standard error, as rich sees it now."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else UNBOUNDED
    return Console(stderr=error, width=width, highlight=False, soft_wrap=False, emoji=False)


def note(text: str) -> None:
    """Print one line for the user's eyes only, on the standard error."""
    line = " ".join(part.strip() for part in text.splitlines())
    write(sys.stderr, f"secateurs: {printable(line)}\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> Listing:
    """A table to `say`.

    Example:
        >>> table("", ("group", "channels"), [("conv1", "16")]).rows
        (('conv1', '16'),)
    """
    return Listing(title, tuple(columns), tuple(tuple(row) for row in rows), left)


def say(*parts: str | Listing) -> None:
    """Print text and tables; text is taken literally, square brackets included, control characters escaped."""
    out = console()
    for part in parts:
        text = f"{printable(part)}\n" if isinstance(part, str) else drawn(part, out)
        write(sys.stdout, text)


def drawn(listing: Listing, out: Console) -> str:
    """The text of a table, as wide as the terminal, with bold and dim lines where it has them."""
    safe = Listing(
        printable(listing.title),
        listing.columns,
        tuple(tuple(printable(cell) for cell in row) for row in listing.rows),
        listing.left,
    )
    page = io.StringIO()
    drawing = Console(file=page, width=out.width, force_terminal=out.is_terminal, highlight=False)
    for text, style in lines(safe, out.width):
        drawing.print(Text(text, style=style), soft_wrap=True)
    return page.getvalue()


def write_json(text: str, path: Path) -> None:
    """Write JSON to a file, whole or not at all, or to the standard output where the name is `-`.

    Raises:
        InputError: The file cannot be written.
    """
    from secateurs.export import new_file

    if str(path) == "-":
        write(sys.stdout, text)
        return
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def on_terminal(stream: TextIO) -> bool:
    """Whether a person watches a stream."""
    return stream.isatty()
