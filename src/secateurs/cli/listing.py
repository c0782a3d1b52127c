"""Tables for a terminal of any width, in which no name is cut or broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

GAP = "  "


@dataclass(frozen=True)
class Listing:
    """A table whose first `left` columns are words and whose others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def lines(listing: Listing, width: int) -> Iterator[tuple[str, str]]:
    """The lines of a table with the style of each: side by side where that fits, otherwise one field a line.

    Cells of words are wrapped between words. Where even the longest words do not fit beside each other, every row
    is a paragraph, and a line longer than the terminal is left for the terminal to wrap.

    Args:
        listing: The table.
        width: Columns of the terminal.

    Example:
        >>> wide = Listing("", ("layer", "why"), (("conv1", "is an output of the model"),), left=2)
        >>> [text for text, _ in lines(wide, 20)]
        ['layer  why', 'conv1  is an output', '       of the model']
        >>> [text for text, _ in lines(wide, 10)]
        ['conv1', '  why: is an output of the model']
    """
    if listing.title:
        yield from ((line, "bold") for line in listing.title.split("\n"))
    widths = _widths(listing, width)
    if widths is None:
        for row in listing.rows:
            yield from _paragraph(listing.columns, row)
        return
    for row, style in ((listing.columns, "dim"), *((row, "") for row in listing.rows)):
        if any(row):
            yield from ((line, style) for line in _wrapped(row, widths, listing.left))


def _widths(listing: Listing, width: int) -> list[int] | None:
    """Width of every column, None where the longest words do not fit beside each other."""
    whole = [listing.columns, *listing.rows]
    count = len(listing.columns)
    most = [max(len(row[i]) for row in whole) for i in range(count)]
    least = [
        max(len(word) for row in whole for word in row[i].split() or [""]) if i < listing.left else most[i]
        for i in range(count)
    ]
    room = width - len(GAP) * (count - 1) - sum(least)
    if room < 0:
        return None
    widths = list(least)
    # The narrowest wishes first: a short column is never wrapped for the sake of a long one.
    for number, i in enumerate(sorted(range(count), key=lambda i: most[i] - least[i])):
        given = min(most[i] - least[i], room // (count - number))
        widths[i] += given
        room -= given
    return widths


def _wrapped(row: tuple[str, ...], widths: list[int], left: int) -> Iterator[str]:
    cells = [
        textwrap.wrap(cell, max(size, 1), break_long_words=False, break_on_hyphens=False) or [""]
        if i < left
        else [cell]
        for i, (cell, size) in enumerate(zip(row, widths, strict=True))
    ]
    for k in range(max(map(len, cells))):
        parts = [cell[k] if k < len(cell) else "" for cell in cells]
        aligned = [
            part.ljust(size) if i < left else part.rjust(size)
            for i, (part, size) in enumerate(zip(parts, widths, strict=True))
        ]
        yield GAP.join(aligned).rstrip()


def _paragraph(columns: tuple[str, ...], row: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    yield row[0], ""
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            yield (f"  {column}: {cell}" if column else f"  {cell}"), ""
