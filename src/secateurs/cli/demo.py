"""`secateurs demo`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secateurs.cli.console import say, table, write_json
from secateurs.cli.listing import Listing
from secateurs.cli.options import Device, Json, Seed, Threads, quiet
from secateurs.cli.progress import Bars

if TYPE_CHECKING:
    from secateurs.runs.demo import Demo

OUT = "secateurs-demo"


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"The folder to write; must not exist. By default {OUT}, which replaces that of an earlier demo.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = None,
) -> None:
    """Prune a small trained network for digits in several ways: no data, no download, seconds.

    Every method takes it to half its multiply-adds. The best by accuracy on held-out training samples (never
    on the test set) is written to a folder.
    """
    from secateurs.cli.opening import usable
    from secateurs.cli.threads import worthwhile_threads
    from secateurs.export import check_free
    from secateurs.report.folder import is_ours, write_folder
    from secateurs.runs.demo import demo as demonstrate
    from secateurs.runs.demo import trained

    place = Path(OUT) if out is None else out
    check_free(place, replaces=is_ours if out is None else None)
    replaced = out is None and place.is_dir() and any(place.iterdir())
    with Bars() as bars:
        source = trained(usable(device))
        with worthwhile_threads(source.model, source.example(), threads):
            found = demonstrate(seed=seed, source=source, progress=bars)
        write_folder(place, found.run.model, found.run.plan, found.run.record, replace=out is None)
    if as_json is not None:
        write_json(found.run.record.to_json(), as_json)
    if not quiet(as_json):
        say(*_parts(found, place, replaced))


def _parts(found: Demo, out: Path, replaced: bool) -> Iterator[str | Listing]:
    from secateurs.cli.tables import after_run, saved
    from secateurs.report.record import percent
    from secateurs.runs.demo import NETWORK

    yield (
        f"{NETWORK}, trained on scikit-learn's digits: {percent(found.accuracy, found.accuracy_error)} of "
        f"{found.samples} test samples. To half its MACs, with no training afterwards:"
    )
    columns = ("method", "repair", "as removal left it", "repaired", "held out")
    rows = [
        (row.method, row.repair, *(percent(value, None) for value in (row.plain, row.repaired, row.held_out)))
        for row in found.rows
    ]
    yield table("", columns, rows, left=2)
    yield "held out: training samples that neither training nor repair saw; the others are test accuracy.\n"
    yield f"Best by held-out accuracy: {found.best.method} ({found.best.repair})."
    yield from after_run(found.run.record)
    yield saved(out)
    names = ", ".join(sorted(path.name for path in out.iterdir()))
    yield f"Wrote {out}{', in place of that of an earlier demo' if replaced else ''}: {names}"
    yield "Next:"
    yield f"  open {out / 'report.html'}"
    yield f"  secateurs evaluate {out} --data digits"
    yield f"  secateurs export {out} --onnx small.onnx"
    yield "  secateurs methods"
