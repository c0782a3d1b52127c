"""`secateurs demo`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from secateurs.cli.console import Bars, say, table
from secateurs.cli.options import Seed
from secateurs.cli.tables import after_run
from secateurs.report.record import percent

OUT = "secateurs-demo"


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"The folder to write; must not exist. By default {OUT}, or {OUT}-2 and so on where that is taken.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train a small network on digits and prune it in several ways: no data, no network, seconds.

    Every method takes it to half its multiply-adds. The best by accuracy on held-out training samples (never
    on the test set) is written to a folder.
    """
    from secateurs.export import check_free
    from secateurs.report.demo import NETWORK
    from secateurs.report.demo import demo as demonstrate
    from secateurs.report.folder import write_folder

    out = out or free_name(OUT)
    check_free(out)
    with Bars() as bars:
        found = demonstrate(seed=seed, progress=bars)
        write_folder(out, found.run.model, found.run.plan, found.run.record)
    say(
        f"{NETWORK}, trained on scikit-learn's digits: {percent(found.accuracy, found.accuracy_error)} of "
        f"{found.samples} test samples. To half its MACs, with no training afterwards:"
    )
    columns = ("method", "repair", "as removal left it", "repaired", "held out")
    rows = [
        (row.method, row.repair, *(percent(value, None) for value in (row.plain, row.repaired, row.held_out)))
        for row in found.rows
    ]
    say(
        table("", columns, rows, left=2),
        "held out: training samples that neither training nor repair saw; the others are test accuracy.",
        "",
        f"Best by held-out accuracy: {found.best.method} ({found.best.repair}).",
    )
    say(*after_run(found.run.record))
    say(
        f"Wrote {out}: {', '.join(sorted(path.name for path in out.iterdir()))}",
        "Next:",
        f"  open {out / 'report.html'}",
        f"  secateurs evaluate {out} --data digits",
        f"  secateurs export {out} --onnx small.onnx",
        "  secateurs methods",
    )


def free_name(name: str) -> Path:
    """The first of `name`, `name-2`, `name-3`, ... that is not taken in the working folder.

    Example:
        >>> str(free_name("a-folder-that-is-not-there"))
        'a-folder-that-is-not-there'
    """
    path = Path(name)
    for k in itertools.count(2):
        if not path.exists():
            break
        path = Path(f"{name}-{k}")
    return path
