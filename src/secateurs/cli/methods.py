"""`secateurs methods`."""

from __future__ import annotations

import json

from secateurs.cli.console import say, table, write_json
from secateurs.cli.options import Json, quiet


def methods(as_json: Json = None) -> None:
    """List every method: its paper, what it needs, what is certain about it, its settings.

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
            "settings": list(settings_of(method.name)),
        }
        for method in METHODS
    ]
    if as_json is not None:
        write_json(json.dumps(rows, indent=2) + "\n", as_json)
    if quiet(as_json):
        return
    columns = ("method", "removes first", "paper", "needs", "certain", "settings")
    keys = ("name", "summary", "paper", "needs", "certain", "settings")
    cells = [tuple(m[key] for key in keys) for m in map(_as_text, rows)]
    say(table("", columns, cells, left=len(columns)))


def _as_text(row: dict[str, object]) -> dict[str, str]:
    return {
        key: "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in row.items()
    }
