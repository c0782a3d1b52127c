"""The leaderboard without retraining: ten methods x four budgets x two repairs on ResNet-20, by `secateurs compare`.

    python benchmarks/compare.py --weights resnet20.safetensors --cifar10 FOLDER --to DIR [--jobs 2] [--render]

Kill it and call it again: what is done is not done anew. At the end the summaries go to docs/results/compare.json, from
which docs/leaderboard.md is rendered; `--render` does that alone. All cells are proven; accuracy is of the first 2,000
test images, on which nothing is chosen; repairs see 256 unlabelled training images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD = HERE.parent / "docs" / "results" / "compare.json"
PAGE = HERE.parent / "docs" / "leaderboard.md"
METHODS = (
    "l1-norm l2-norm geometric-median operator-norm similarity centrality fp-backward lrf bn-scale random".split()  # noqa: SIM905
)
SHARES, REPAIRS = ("0.8", "0.7", "0.6", "0.5"), ("none", "merge")
HEAD = """# Leaderboard without retraining

ResNet-20 on CIFAR-10 ({accuracy:.2f} %), every method at the same share of the multiply-adds, uniform over its groups,
bare and with the repair `merge` (kept channels take the part of removed ones, by their maps on 256 unlabelled images).
Per cent of {samples:,} test images right, on which nothing was chosen; `random` is the mean of {draws} draws with their
deviation. Below: points above `random`, with the standard error of the paired difference over images.
All {cells} networks equal the silenced original before repair, to {proof:.0e} of the range.

`{command}`, {date}, commit {commit}, {machine}; {versions}.
"""


def command(given: argparse.Namespace) -> list[str]:
    """The command that makes the cells."""
    flags = [word for m in METHODS for word in ("--method", m)]
    flags += [word for s in SHARES for word in ("--macs", s)]
    flags += [word for r in REPAIRS for word in ("--compensate", r)]
    fixed = ["--calibrate", "256", "--test", "2000", "--jobs", str(given.jobs), "--to", str(given.to)]
    data = ["--weights", str(given.weights), "--data", f"cifar10:{given.cifar10}"]
    return [sys.executable, "-m", "secateurs", "compare", "resnet20", *data, *flags, *fixed]


def record(folder: Path, commit: str, jobs: int, script: str) -> dict[str, Any]:
    """The summaries of a finished comparison, with what made them."""
    found = json.loads((folder / "result.json").read_text())
    return {
        "command": f"python benchmarks/{script}.py --jobs {jobs}",
        "commit": commit,
        "date": found["date"][:10],
        "machine": f"{found['machine']['processor']}, {found['machine']['cores']} cores, {jobs} processes",
        "versions": {name: found["versions"][name] for name in ("secateurs", "torch")},
        "unpruned": {name: found["original"][name] for name in ("accuracy", "samples", "params", "macs")},
        "cells": len(found["rows"]),
        "summaries": found["summaries"],
    }


def page(found: dict[str, Any]) -> str:
    """The page of a record."""
    rows = found["summaries"]
    head = HEAD.format(
        accuracy=100 * found["unpruned"]["accuracy"],
        samples=found["unpruned"]["samples"],
        draws=max(len(row["seeds"]) for row in rows),
        proof=max(row["proof"] for row in rows),
        versions=", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        **{name: found[name] for name in ("cells", "command", "date", "commit", "machine")},
    )
    return (
        "\n".join([head, *_table(rows, _accuracy), "", *_table(rows, _difference), "", *words(rows)]) + "\n"
    )


def _table(rows: list[dict[str, Any]], cell: Any) -> list[str]:
    shares = sorted({row["share"] for row in rows}, reverse=True)
    lines = ["| method | repair | " + " | ".join(f"{100 * s:.0f} % of the MACs" for s in shares) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(shares))
    for method in dict.fromkeys(row["method"] for row in rows):
        for repair in dict.fromkeys(row["repair"] for row in rows):
            at = {r["share"]: r for r in rows if (r["method"], r["repair"]) == (method, repair)}
            lines.append(f"| {method} | {repair} | " + " | ".join(cell(at[s]) for s in shares) + " |")
    return lines


def _accuracy(row: dict[str, Any]) -> str:
    spread = f" ± {100 * row['deviation']:.2f}" if row["deviation"] is not None else ""
    return f"{100 * row['mean']:.2f}{spread}"


def _difference(row: dict[str, Any]) -> str:
    found = row["against"].get("random")
    return "" if found is None else f"{100 * found['value']:+.2f} ± {100 * found['images']:.2f}"


def words(rows: list[dict[str, Any]]) -> list[str]:
    """What the figures say of methods that are no better than chance."""
    below = [
        f"{row['method']} ({row['repair']}, {100 * row['share']:.0f} %)"
        for row in rows
        if "random" in row["against"] and row["against"]["random"]["value"] <= 0
    ]
    return [f"Not better than the mean of the random draws: {', '.join(below) or 'none'}."]


def options(text: str | None) -> argparse.Namespace:
    """What a comparison that writes a page is given."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--commit", help="of the library that made a finished folder; by default this one's")
    parser.add_argument("--render", action="store_true", help="only write the page from the record")
    return parser.parse_args()


def recorded(given: argparse.Namespace, words: list[str], path: Path, script: str) -> bool:
    """Compare unless that is done, and keep the summaries; whether there are any."""
    done = (given.to / "result.json").is_file()
    if not done and subprocess.run(words, check=False).returncode:
        return False
    asked = ["git", "rev-parse", "--short", "HEAD"]
    now = subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
    made = record(given.to, given.commit or now, given.jobs, script)
    path.write_text(json.dumps(made, indent=1) + "\n")
    return True


def main() -> int:
    """Compare, keep the summaries, render."""
    given = options(__doc__)
    if not given.render and not recorded(given, command(given), RECORD, "compare"):
        return 1
    PAGE.write_text(page(json.loads(RECORD.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
