"""`secateurs methods`."""

from __future__ import annotations

import json

from secateurs.cli.console import say, table, write_json
from secateurs.cli.options import Json, quiet


def methods(as_json: Json = None) -> None:
    """List every method: its paper, what it needs, what is certain about it, its settings.

    A second table says where methods leave the code that their authors have published.

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
    columns = ("method", "removes first", "paper", "year", "needs", "certain", "settings")
    keys = ("name", "summary", "paper", "year", "needs", "certain", "settings")
    say(table("", columns, [tuple(m[key] for key in keys) for m in texts], left=len(columns)))
    differ = [(m["name"], m["differs"]) for m in texts if m["differs"]]
    say(table("Differences from the published code", ("method", "differs"), differ, left=2))


def _as_text(row: dict[str, object]) -> dict[str, str]:
    return {
        key: "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in row.items()
    }
