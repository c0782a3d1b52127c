"""The tables of data sets: text of rows and columns, read with a sentence for everything that may be wrong."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from secateurs.errors import InputError

Row = Mapping[str, str]


def read_table(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[Row]:
    """The rows of a table, by the names in its first line.

    Args:
        path: The file.
        columns: Names that it has to have.
        delimiter: What stands between two fields.

    Raises:
        InputError: No such file, no text, a column that is missing, or a row that is too short.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            rows: list[Row] = list(reader)
            names = list(reader.fieldnames or ())
    except FileNotFoundError as error:
        raise InputError(f"The table '{path}' cannot be found.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table '{path}' cannot be read: {error}.") from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise InputError(
            f"The table '{path}' lacks the column {', '.join(missing)}; its columns are {', '.join(names) or 'none'}."
        )
    if not rows:
        raise InputError(f"The table '{path}' has no rows.")
    for number, row in enumerate(rows, 2):
        if any(row[name] is None for name in columns):
            raise InputError(f"The table '{path}' has too few fields in line {number}.")
    return rows


def whole_number(row: Row, column: str, path: Path, line: int) -> int:
    """The whole number in a column.

    Raises:
        InputError: It is none.

    Example:
        >>> whole_number({"fold": "3"}, "fold", Path("a.csv"), 2)
        3
    """
    try:
        return int(row[column])
    except ValueError as error:
        raise InputError(
            f"The table '{path}', line {line}: {column} is {row[column]!r}, no whole number."
        ) from error
