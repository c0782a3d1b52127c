"""Every method whose code is published: how its default differs, and what that costs or gains on ResNet-20.

    python benchmarks/differences.py --weights resnet20.safetensors --cifar10 FOLDER --to DIR [--jobs 2] [--render]

Default and published form (`:faithful`) at the same share of the multiply-adds, bare, through `secateurs compare`. The
figures go to docs/results/differences.json, from which docs/differences.md is rendered; `--render` does that alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "src"))
sys.path.insert(0, str(HERE))

import secateurs as sc  # noqa: E402
from compare import options, recorded  # noqa: E402

RECORD = HERE.parent / "docs" / "results" / "differences.json"
PAGE = HERE.parent / "docs" / "differences.md"
MEASURED = (
    "similarity similarity-nystrom centrality centrality-betweenness operator-norm lrf fp-omp fp-backward".split()  # noqa: SIM905
)
SHARES = ("0.7", "0.5")
HEAD = """# Differences from the published code

What the default form of a method does otherwise than the code of its authors; `NAME:faithful` does as that code, in its
frame, with its repair and its rounding where it has them. Beside it the accuracy of ResNet-20 on CIFAR-10
({accuracy:.2f} %) on {samples:,} test images right after the cut, default and faithful, with {shares} of the
multiply-adds left (in frames the layers that are added cost some of them). All methods but the faithful ones let dead
filters and exact copies leave first.
The searches are compared in [search.md](search.md).

`{command}`, {date}, commit {commit}, {machine}; {versions}.
"""


def published(name: str) -> str:
    """The name of a method's published form.

    A centrality is named by its kind already.
    """
    return sc.methods.get(f"{name}:faithful").name


def command(given: argparse.Namespace) -> list[str]:
    """The command that makes the cells."""
    flags = [word for m in MEASURED for name in (m, published(m)) for word in ("--method", name)]
    flags += [word for s in SHARES for word in ("--macs", s)]
    fixed = ["--compensate", "none", "--calibrate", "256", "--test", "2000", "--draws", "2"]
    data = ["--weights", str(given.weights), "--data", f"cifar10:{given.cifar10}"]
    to = ["--jobs", str(given.jobs), "--to", str(given.to)]
    return [sys.executable, "-m", "secateurs", "compare", "resnet20", *data, *flags, *fixed, *to]


def page(found: dict[str, Any]) -> str:
    """The page of a record, with the words that the methods have."""
    at = {(row["method"], row["share"]): row["mean"] for row in found["summaries"]}
    head = HEAD.format(
        accuracy=100 * found["unpruned"]["accuracy"],
        samples=found["unpruned"]["samples"],
        shares=" and ".join(f"{100 * float(s):.0f} %" for s in SHARES),
        versions=", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        **{name: found[name] for name in ("command", "date", "commit", "machine")},
    )
    columns = [f"{100 * float(s):.0f} %: {form}" for s in SHARES for form in ("default", "faithful")]
    lines = ["| method | the default | " + " | ".join(columns) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(columns))
    for method in sc.methods.METHODS:
        if method.differs:
            cells = [_per_cent(at.get((name, float(s)))) for s in SHARES for name in _forms(method.name)]
            lines.append(f"| {method.name} | {method.differs} | " + " | ".join(cells) + " |")
    return "\n".join([head, *lines]) + "\n"


def _forms(name: str) -> tuple[str, str]:
    return name, published(name) if name in MEASURED else ""


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def main() -> int:
    """Compare, keep the summaries, render."""
    given = options(__doc__)
    if not given.render and not recorded(given, command(given), RECORD, "differences"):
        return 1
    PAGE.write_text(page(json.loads(RECORD.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
