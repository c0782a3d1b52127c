"""`secateurs methods`."""

from __future__ import annotations

import json

from secateurs.cli.console import say, table, write_json
from secateurs.cli.options import Json, quiet


def methods(as_json: Json = None) -> None:
    """List every method: what it needs, its settings, its paper, what is certain about it.

    The last table says where methods leave the code that their authors have published. As wide as the terminal; in a
    pipe every method is one line of each table, and --json has all of it.

    Settings follow the name: `--method similarity-nystrom:columns=9`, `--method fp-omp:faithful`.
    """
    from secateurs.methods import METHODS, settings_of

    rows: list[dict[str, object]] = [
        {
            "name": method.name,
            "summary": method.summary,
            "paper": method.paper,
            "year": method.year,
            "needs": method.needs,
            "certain": method.certain,
            "differs": method.differs,
            "settings": list(settings_of(method.name)),
        }
        for method in METHODS
    ]
    if as_json is not None:
        write_json(json.dumps(rows, indent=2) + "\n", as_json)
    if quiet(as_json):
        return
    texts = [_as_text(row) for row in rows]
    # Several tables, of which each fits a terminal of 80 columns; in a file or a pipe a method is a line of each.
    _say(texts, "", name="method", year="year", needs="needs", summary="removes first", settings="settings")
    _say(texts, "Where methods are from", name="method", paper="paper", certain="certain")
    differ = [m for m in texts if m["differs"]]
    _say(differ, "Differences from the published code", name="method", differs="differs")


def _say(texts: list[dict[str, str]], title: str, **columns: str) -> None:
    rows = [tuple(m[key] for key in columns) for m in texts]
    say(*([""] if title else []), table(title, tuple(columns.values()), rows, left=len(columns)))


def _as_text(row: dict[str, object]) -> dict[str, str]:
    return {
        key: "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in row.items()
    }
