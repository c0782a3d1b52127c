"""What a paper's file hands over: rows with a published number beside ours, tables, and sentences made from them."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

NOT_YET = "needs fine-tuning (not yet)"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Row:
    """One number of a paper.

    `form` says with how many digits it is published; `reason` why ours differs from it, or why there is none.
    """

    what: str
    published: float | None
    ours: float | None
    form: str = ",.0f"
    reason: str = ""

    @property
    def met(self) -> bool:
        """Whether both numbers are there and equal to the published digit."""
        return None not in (self.published, self.ours) and self._text(self.published) == self._text(self.ours)

    def _text(self, value: float | None) -> str:
        # Minus zero is zero, and half a digit is rounded as the papers do.
        return "" if value is None else format(round(value, 9) + 0.0, self.form)

    def cells(self) -> list[str]:
        """As a line of the table."""
        said = "to the digit" if self.met else self.reason
        if not said:
            raise ValueError(f"'{self.what}': published {self.published}, ours {self.ours}, and no reason")
        return [self.what, self._text(self.published) or "-", self._text(self.ours) or "-", said]


@dataclass(frozen=True)
class Table:
    """A titled table of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> list[str]:
        """Lines of Markdown."""
        lines = [
            f"### {self.title}",
            "",
            "| " + " | ".join(self.header) + " |",
            "|---" * len(self.header) + "|",
        ]
        return [*lines, *("| " + " | ".join(row) + " |" for row in self.rows), ""]


def beside(rows: Iterable[Row]) -> Table:
    """The paper's numbers beside ours."""
    return Table("Published and ours", ("what", "published", "ours", "gap"), [row.cells() for row in rows])


STAGES = ("plain", "recalibrated", "repaired")


def origin(found: dict[str, Any]) -> str:
    """What made a record, where and when."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    made = f"{found['date']}, commit {found['commit']}, {found['machine']}; {versions}"
    return " ".join([f"`{found['command']}`, {made}.", *([found["note"]] if found.get("note") else [])])


def spread(values: Sequence[float]) -> str:
    """Mean and, of several, deviation.

    Example:
        >>> spread([1.0, 3.0]), spread([2.0])
        ('2.00 ± 1.41', '2.00')
    """
    mean = f"{statistics.fmean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"


def cells_table(title: str, cells: Sequence[dict[str, Any]], stages: Sequence[str] = STAGES) -> Table:
    """Methods down, stages across; several seeds of one method as mean and deviation."""
    header = ("method", "draws", "MACs cut", "parameters cut", *stages)
    rows = []
    for name in dict.fromkeys(cell["method"] for cell in cells):
        own = [cell for cell in cells if cell["method"] == name]
        shares = [f"{statistics.fmean(cell[k] for cell in own):.1f} %" for k in ("macs_cut", "params_cut")]
        values = [spread([c[s] for c in own]) if all(s in c for c in own) else "-" for s in stages]
        rows.append([name, str(len(own)), *shares, *values])
    return Table(title, header, rows)


def against_random(cells: Sequence[dict[str, Any]], name: str, stage: str) -> str:
    """Where a method lies beside the random draws: above, below, or within one deviation of their mean."""
    draws = [cell[stage] for cell in cells if cell["method"] == "random"]
    value = next(cell[stage] for cell in cells if cell["method"] == name)
    mean, deviation = statistics.fmean(draws), statistics.stdev(draws)
    where = (
        "above"
        if value > mean + deviation
        else "below"
        if value < mean - deviation
        else "within a deviation of"
    )
    return (
        f"{where} the mean of {len(draws)} random draws ({value:.2f} against {mean:.2f} ± {deviation:.2f} %)"
    )


def beside_random(cells: Sequence[dict[str, Any]], name: str, network: str) -> str:
    """A sentence on a method before and after the repair."""
    parts = [f"{stage} {against_random(cells, name, stage)}" for stage in STAGES]
    return f"On {network}, `{name}` lies {'; '.join(parts)}."


def best_of(cells: Sequence[dict[str, Any]], names: Sequence[str], stage: str) -> tuple[str, float]:
    """The best of some methods at a stage."""
    found = {cell["method"]: cell[stage] for cell in cells if cell["method"] in names}
    return max(found.items(), key=lambda pair: pair[1])


def about(command: str) -> dict[str, Any]:
    """Machine, versions, commit and date of a run."""
    versions = {"python": platform.python_version()}
    for package in ("secateurs", "torch", "numpy", "scipy", "scikit-learn", "igraph"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    cpu = next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), platform.machine())
    return {
        "machine": f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": versions,
        "commit": commit,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": command,
    }


def write(path: Path, found: dict[str, Any], rows: Sequence[Row]) -> None:
    """One paper's JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**found, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def read(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """What `write` wrote."""
    found = json.loads(path.read_text())
    return found, [Row(**row) for row in found.pop("rows")]
