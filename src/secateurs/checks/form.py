"""The form of a file's JSON: what may stand where, checked before anything is made from it.

A form is a function that takes a value and its place, and raises a `ValueError` that names the place, what was
found there and what has to be. Forms are put together from smaller ones, as the file is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NoReturn

from secateurs.checks.shown import shown
from secateurs.errors import InputError

Form = Callable[[Any, str], None]
LARGEST = 2**62
LARGEST_NUMBER = 1e300  # so that no whole number is too large for a float
LONGEST_TEXT = 32 * 2**20
"""Characters of JSON that are read at most; reading takes up to 15 bytes a character."""
MOST_PARTS, MOST_ENTRIES = 300_000, 5_000_000
"""Lists and objects, and numbers in them, that are read at most: a round of pruning takes some thousand lists for a
network of hundreds of layers, and half a million positions."""
LONGEST_NAME, LONGEST_PROSE = 1000, 20_000


def parsed(text: Any, where: str) -> Any:
    """Read JSON that somebody else wrote, within bounds.

    Args:
        text: At most `LONGEST_TEXT` characters, with `MOST_PARTS` lists and objects of `MOST_ENTRIES` entries.
        where: The file, for the message.

    Raises:
        InputError: It is no JSON, too large, too deeply nested, or holds NaN or infinity.

    Example:
        >>> parsed('{"a": [1, 2]}', "plan.json")
        {'a': [1, 2]}
    """
    if not isinstance(text, str):
        raise InputError(f"{where}: JSON is text, and this is {shown(text)}.")
    parts, entries = text.count("[") + text.count("{"), text.count(",")
    if len(text) > LONGEST_TEXT or parts > MOST_PARTS or entries > MOST_ENTRIES:
        raise InputError(
            f"{where}: it cannot be read: {len(text):,} characters of JSON with {parts:,} lists and {entries:,} "
            "entries are more than any network needs."
        )
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise InputError(f"{where}: it cannot be read: its lists are nested too deeply.") from None
    except ValueError as error:
        raise InputError(
            f"{where}: it cannot be read as JSON ({shown(str(error), 120)}); check that it is the file you mean."
        ) from error


def read_text(path: Path) -> str:
    """The text of a file, or as much of it as shows that it is too long to be read.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no UTF-8.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "result.json"
        >>> _ = path.write_text("{}")
        >>> read_text(path)
        '{}'
    """
    with path.open(encoding="utf-8") as file:
        return file.read(LONGEST_TEXT + 1)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _wrong(place: str, value: Any, wanted: str) -> NoReturn:
    raise ValueError(f"{_short(place)} is {shown(value)} and has to be {wanted}")


def _short(place: str) -> str:
    return place if len(place) <= 160 else place[:157] + "..."  # names in it are printable and short already


def whole(least: int = 0, most: int = LARGEST) -> Form:
    """Whole numbers within bounds; True is none.

    Example:
        >>> whole(1)(3, "version")
    """

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
            upper = "" if most == LARGEST else f" to {most}"
            _wrong(place, value, f"a whole number from {least}{upper}")

    return check


def number(value: Any, place: str) -> None:
    """Finite numbers; True is none.

    Example:
        >>> number(0.5, "target")
    """
    plain = isinstance(value, Real) and not isinstance(value, bool)
    if not plain or not -LARGEST_NUMBER < value < LARGEST_NUMBER:
        _wrong(place, value, "a number")


def prose(value: Any, place: str) -> None:
    """Text of up to `LONGEST_PROSE` characters, such as the reason for a lock.

    Example:
        >>> prose("is an output of the network", "reason")
    """
    if not isinstance(value, str) or len(value) > LONGEST_PROSE:
        _wrong(place, value, f"text of at most {LONGEST_PROSE} characters")


def text(value: Any, place: str) -> None:
    """Text of up to `LONGEST_NAME` characters.

    Example:
        >>> text("l1-norm", "method")
    """
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        _wrong(place, value, f"text of at most {LONGEST_NAME} characters")


def flag(value: Any, place: str) -> None:
    """True or False.

    Example:
        >>> flag(True, "passed")
    """
    if not isinstance(value, bool):
        _wrong(place, value, "true or false")


def one_of(*values: str) -> Form:
    """One of a few words.

    Example:
        >>> one_of("enter", "leave")("leave", "folds")
    """

    def check(value: Any, place: str) -> None:
        if not isinstance(value, str) or value not in values:
            _wrong(place, value, f"one of {', '.join(map(repr, values))}")

    return check


def maybe(form: Form) -> Form:
    """Nothing, or something of a form.

    Example:
        >>> maybe(text)(None, "data")
    """
    return lambda value, place: None if value is None else form(value, place)


def list_of(form: Form, most: int = LARGEST, least: int = 0) -> Form:
    """Lists of things of one form.

    Example:
        >>> list_of(whole())([3, 8, 8], "shape")
    """

    def check(value: Any, place: str) -> None:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            upper = "" if most == LARGEST else f" of at most {most}"
            _wrong(place, value, f"a list{upper}" if least == 0 else f"a list{upper} with at least {least}")
        for index, entry in enumerate(value):
            form(entry, f"{place}[{index}]")

    return check


def ascending(value: Any, place: str) -> None:
    """Lists of whole numbers from 0, each larger than the one before; never empty.

    Example:
        >>> ascending([0, 2, 5], "kept")
    """
    if not isinstance(value, (list, tuple)) or not value:
        _wrong(place, value, "a list of positions that stay")
    before, position = -1, whole()
    for index, entry in enumerate(value):
        if type(entry) is not int or entry > LARGEST:  # the quick test first: lists are long
            position(entry, f"{place}[{index}]")
        if entry <= before:
            _wrong(f"{place}[{index}]", entry, f"larger than {before}, as positions ascend from 0")
        before = entry


def map_of(form: Form, key: Form = text) -> Form:
    """Objects whose values are of one form, and whose names are of another.

    Example:
        >>> map_of(number)({"macs": 0.5}, "target")
    """

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _wrong(place, value, "an object")
        for name, entry in value.items():
            key(name, f"a name in {place}")
            form(entry, f"{place}.{shown(name)}" if place else shown(name))

    return check


def record(optional: tuple[str, ...] = (), /, **fields: Form) -> Form:
    """Objects with the given fields; other fields are left alone, for later releases to add.

    Example:
        >>> record(("note",), name=text, note=text)({"name": "a"}, "file")
    """

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _wrong(place, value, "an object")
        for name, form in fields.items():
            if name in value:
                form(value[name], f"{place}.{name}" if place else name)
            elif name not in optional:
                raise ValueError(f"{_short(place) or 'the file'} lacks '{name}'")

    return check
