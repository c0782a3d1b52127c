"""docs/papers.md from the JSON files of the papers; no figure in it is typed by hand.

python benchmarks/papers/render.py [--results docs/results/papers] [--write docs/papers.md]
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
sys.path.append(str(HERE.parents[1] / "src"))

from results import beside, read  # noqa: E402

NAMES = ("singh2023nystrom", "wang2022qsfm", "king2023centrality", "purohit2022omp", "zhang2019similarity")
HEAD = """# The papers, their numbers and ours

Every number of the five papers that could be found, beside ours, with the reason for each gap; and their claims, tested
without retraining as far as CIFAR-10 and the public checkpoints allow. Methods run in their published form
(`:faithful`) where they have one. A cell is `prune` at the same share of multiply-adds for every method, uniform inside
the blocks; recalibrated: batch-norm statistics estimated anew; repaired: `least-squares`; both on unlabelled training
images, accuracy of test images in per cent. `random` is a mean over draws with its deviation. Losses are kept in.

`benchmarks/papers/render.py` writes this page from `docs/results/papers/`; `benchmarks/papers/run.py` measures.
"""


def part(module: Any, path: Path) -> list[str]:
    """One paper's part of the page."""
    found, rows = read(path)
    measured, settings = found["measured"], found["settings"]
    lines = [f"## {module.TITLE}", ""]
    lines += [f"- {sentence}" for sentence in module.words(measured)]
    lines += ["", *beside(rows).markdown()]
    for table in module.tables(measured):
        lines += table.markdown()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    used = f"{settings['test']} test images, {settings['calibrate']} unlabelled, {settings['draws']} random draws"
    used = "a quick run, of no meaning but that it runs" if settings["quick"] else used
    return [
        *lines,
        f"{used}; {found['seconds']:.0f} s on {found['machine']}; {versions}; "
        f"commit {found['commit']}, {found['date']}.",
        "",
    ]


def render(folder: Path, page: Path) -> None:
    """Write the page from the files that are there."""
    lines = [HEAD]
    for name in NAMES:
        path = folder / f"{name}.json"
        if path.is_file():
            lines += part(importlib.import_module(name), path)
    page.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--results", type=Path, default=HERE.parents[1] / "docs" / "results" / "papers")
    options.add_argument("--write", type=Path, default=HERE.parents[1] / "docs" / "papers.md")
    given = options.parse_args()
    render(given.results, given.write)
