"""`secateurs report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secateurs.cli.console import say


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="An output folder of prune or demo.", show_default=False)
    ],
) -> None:
    """Write report.html anew from the numbers in an output folder."""
    from secateurs.report.folder import write_page

    say(f"Wrote {write_page(folder)}")
