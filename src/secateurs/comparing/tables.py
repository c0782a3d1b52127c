"""A comparison as tables: for a terminal, as CSV, as LaTeX with booktabs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from secateurs.comparing.records import Scored
from secateurs.comparing.summary import Difference, Summary, by_way, plain_summary
from secateurs.targets.amounts import in_short

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_ACCURACY = "accuracy in %, mean and sample deviation over seeds"
_NAMES = {"macs": "MACs", "params": "parameters", "keep": "channels"}


@dataclass(frozen=True)
class Table:
    """Words in the first `left` columns, numbers in the others."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 2

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < self.left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (self.columns, *self.rows)
        ]
        return "\n".join([self.title, *lines])


def tables(found: Sequence[Summary], against: Sequence[str]) -> Iterator[Table]:
    """Accuracies, and the differences to each baseline: a row for a method with a repair, a column for a budget."""
    yield _table(_ACCURACY, found, _accuracy)
    for name in against:
        others = [one for one in found if one.method != name]
        if others:
            about = f"difference to {name} in points, with its standard error"
            yield _table(about, others, partial(_points, name))


def so_far(rows: Sequence[Scored]) -> Table:
    """The accuracies of the cells that are done, while others are not."""
    return _table(_ACCURACY, [plain_summary(group) for group in by_way(rows).values()], _accuracy)


def failures(found: Sequence[Summary]) -> list[str]:
    """One line for each reason why cells failed, with the cells."""
    cells: dict[str, list[str]] = {}
    for one in found:
        for reason in dict.fromkeys(one.failed.values()):
            seeds = [str(seed) for seed, other in one.failed.items() if other == reason]
            some = f", seed {' '.join(seeds)}" if one.seeds or len(seeds) > 1 else ""
            cells.setdefault(reason, []).append(f"{one.method} at {column(one)}, {one.repair}{some}")
    return [f"failed: {reason} ({'; '.join(several)})" for reason, several in cells.items()]


def column(one: Summary) -> str:
    """What a budget is called in a table.

    Example:
        >>> column(Summary("l1-norm", "uniform", "macs", 0.5, "none", (), {}))
        '50 % MACs'
        >>> column(Summary("l1-norm", "uniform", "macs", 30e6, "none", (), {}))
        '30M MACs'
    """
    stays = in_short(one.share) if one.share > 1 else f"{100 * one.share:g} %"
    return f"{stays} {_NAMES.get(one.budget, one.budget)}"


def _table(title: str, found: Sequence[Summary], cell: Callable[[Summary], str]) -> Table:
    columns = tuple(dict.fromkeys(map(column, found)))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in found:
        rows.setdefault((one.method, one.repair), {})[column(one)] = cell(one)
    return Table(
        title,
        ("method", "repair", *columns),
        tuple((*place, *(cells.get(name, "") for name in columns)) for place, cells in rows.items()),
    )


def _accuracy(one: Summary) -> str:
    if one.mean is None:
        return "failed"
    text = f"{100 * one.mean:.2f}"
    if one.deviation is not None:
        text += f" ± {100 * one.deviation:.2f} ({len(one.seeds)})"
    return f"{text}*" if one.failed else text


def _points(baseline: str, one: Summary) -> str:
    found = (one.against or {}).get(baseline)
    return "" if found is None else f"{100 * found.value:+.2f} ± {100 * found.error:.2f}"


def as_csv(found: Sequence[Summary], against: Sequence[str]) -> str:
    """One line for each method, budget and repair; accuracies are shares of 1.

    Example:
        >>> as_csv([Summary("l1-norm", "uniform", "macs", 0.5, "none", (0,), {}, 0.75)], []).splitlines()[1][:44]
        'l1-norm,uniform,macs,0.5,none,1,0,0.75,,,,,,'
    """
    names = ["method", "allocate", "budget", "share", "repair", "seeds", "failed"]
    names += ["accuracy", "deviation", "standard_error", "macs", "params", "proof"]
    for name in against:
        names += [
            f"{part} {name}"
            for part in ("difference to", "error over images to", "error over seeds to", "draws below, of")
        ]
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow([*names, "reason"])
    for one in found:
        more = [part for name in against for part in _numbers((one.against or {}).get(name))]
        numbers = (one.mean, one.deviation, one.error, one.macs, one.params, one.proof)
        writer.writerow(
            [
                *(one.method, one.allocate, one.budget, one.share, one.repair),
                *(len(one.seeds), len(one.failed)),
                *("" if value is None else repr(value) for value in numbers),
                *more,
                "; ".join(dict.fromkeys(one.failed.values())),
            ]
        )
    return page.getvalue()


def _numbers(one: Difference | None) -> list[str]:
    if one is None:
        return [""] * 4
    seeds = "" if one.seeds is None else repr(one.seeds)
    return [repr(one.value), repr(one.images), seeds, f"{one.above}/{one.draws}"]


def as_latex(found: Sequence[Summary], against: Sequence[str]) -> str:
    r"""Each table as a `tabular` with the lines of the package booktabs.

    Example:
        >>> one = Summary("l1-norm", "uniform", "macs", 0.5, "none", (0,), {}, 0.75)
        >>> print(as_latex([one], []).splitlines()[5])
        l1-norm & none & $75.00$ \\
    """
    return "\n".join(_tabular(table) for table in tables(found, against))


def _tabular(table: Table) -> str:
    places = "l" * table.left + "r" * (len(table.columns) - table.left)
    lines = [f"% {table.title}".replace("\n", " "), f"\\begin{{tabular}}{{{places}}}", r"\toprule"]
    lines += [_line(table.columns, table.left), r"\midrule"]
    lines += [_line(row, table.left, numbers=True) for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _line(cells: Sequence[str], left: int, numbers: bool = False) -> str:
    parts = [
        _number(cell) if numbers and i >= left and cell[:1] in "+-0123456789" and cell else escaped(cell)
        for i, cell in enumerate(cells)
    ]
    return " & ".join(parts) + r" \\"


def _number(cell: str) -> str:
    """A number with what stands behind it, in mathematics; a star is a footnote's."""
    text = cell.removesuffix("*").replace("±", "\\pm")
    return f"${text}$" + cell[len(cell.removesuffix("*")) :]


def escaped(text: str) -> str:
    r"""Text as LaTeX sets it.

    Example:
        >>> print(escaped("my_file.py:score 50 %"))
        my\_file.py:score 50 \%
    """
    return "".join(_SPECIAL.get(character, character) for character in text)
