"""Render docs/coverage.md from the figures that benchmarks/coverage.py has written.

python benchmarks/coverage_table.py [docs/results/coverage.json]
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

FAMILIES = {
    "tv:": "torchvision",
    "timm:": "timm",
    "yolo:": "YOLO",
    "smp:": "segmentation models",
    "hf:": "transformers",
}
WAYS = ("cold", "run before")


def sound(r: dict[str, Any]) -> bool:
    """Whether one way of one network is pruned and proven, the original as it was, and the result right.

    A network of which nothing may leave, and that is told so, is sound where the original is as it was.
    """
    if "whole" in r:
        return bool(r.get("bits") and not r.get("differences"))
    return bool(
        r.get("passed")
        and r.get("bits")
        and not r.get("differences")
        and not r.get("runs", ["not looked at"])
        and not r.get("shared")
        and r.get("silenced") is not False
        and "error" not in r
    )


def fine(row: dict[str, Any]) -> bool:
    """Whether both ways of a network are sound."""
    return all(sound(row[way]) for way in WAYS)


def page(found: dict[str, Any]) -> str:
    """The whole page: what was done, the sums, one row a network."""
    results = found["results"]
    rows = [
        "| network | cold | run before | layers | can leave | MACs kept | proof s | rest s | MB | ONNX | stays whole |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(name, row) for name, row in results.items()),
    ]
    return "\n".join([*_head(found), *_sums(results), "", *_legend(), "", *rows, ""])


def _head(found: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        "# Coverage",
        "",
        "Half of the units that may leave were removed at random through `prune` from networks with random weights:",
        "from a network that never ran, and from one that has run. The original was compared afterwards, attribute for",
        "attribute and bit for bit; the result was run in both modes at two sizes where the original does, and was",
        "compared with the original silenced by the plan alone, by code that the proof does not share.",
        "",
        f"`{found['command']}`, {found['date']}, commit {found['commit']}, {found['machine']}; {versions}.",
        "",
    ]


def _sums(results: dict[str, Any]) -> list[str]:
    good = {name: row["cold"] for name, row in results.items() if fine(row) and "whole" not in row["cold"]}
    still = [name for name, row in results.items() if "whole" in row["cold"]]
    lines = [
        f"- pruned, proven, original as it was, result right: **{len(good)} of {len(results)}**; {_shares(results)}"
    ]
    for way in WAYS:
        rows = {name: row[way] for name, row in results.items()}
        lines.append(
            f"- {way}: {sum('error' in r for r in rows.values())} refused or broken; original changed in "
            f"{sum(bool(r.get('differences')) or r.get('bits') is False for r in rows.values())}; "
            f"result does not run where the original does in {sum(bool(r.get('runs')) for r in rows.values())}; "
            f"silencing says something else in {sum(r.get('silenced') is False for r in rows.values())} "
            f"and cannot be stated in {sum(r.get('silenced', 0) is None for r in rows.values())}"
        )
    lines.append(f"- nothing may leave, and a sentence says so: {', '.join(still) or 'none'}")
    lines += _times(good) if good else []
    tried = {name: r["onnx"] for name, r in good.items() if r.get("onnx")}
    if tried:
        equal = [float(found) for found in tried.values() if found[0].isdigit()]
        others = [name for name, found in tried.items() if not found[0].isdigit()]
        lines.append(
            f"- ONNX: {len(equal)} of {len(tried)} written and equal in ONNX Runtime, to "
            f"{max(equal, default=0.0):.0e} of the output at worst"
            + (f"; not: {', '.join(others)}" if others else "")
        )
    return lines


def _times(good: dict[str, Any]) -> list[str]:
    proof = {name: r["proof"] for name, r in good.items()}
    ratio = [r["proof"] / max(1e-9, r["total"] - r["proof"]) for r in good.values()]
    slow = max(proof, key=lambda name: proof[name])
    total = [r["total"] for r in good.values()]
    return [
        f"- the proof costs {statistics.median(ratio):.2f} times the rest together (median); at worst "
        f"{proof[slow]:.1f} s of the processor ({slow}), over 10 s: {sum(s > 10 for s in proof.values())}",
        f"- all together: median {statistics.median(total):.2f} s, worst {max(total):.1f} s, under 10 s: "
        f"{sum(s < 10 for s in total)} of {len(total)}",
        f"- share of the MACs that can leave: median {statistics.median(r['leaves'] for r in good.values()):.0%}",
    ]


def _shares(results: dict[str, Any]) -> str:
    parts = []
    for prefix, label in FAMILIES.items():
        chosen = [row for name, row in results.items() if name.startswith(prefix)]
        if chosen:
            parts.append(
                f"{label} {sum(fine(row) and 'whole' not in row['cold'] for row in chosen)} of {len(chosen)}"
            )
    return "; ".join(parts)


def _legend() -> list[str]:
    return [
        "Cold, run before: `ok`, or what is wrong. Layers: convolutions and linear layers that became smaller, of all.",
        "Can leave: the share of the MACs in groups that are not locked. Proof and rest: seconds of the processor, one",
        "thread, cold. MB: peak memory above the model's. Stays whole: reasons, with their share of the MACs.",
    ]


def _row(name: str, row: dict[str, Any]) -> str:
    r = row["cold"]
    cells = [name, *(_state(row[way]) for way in WAYS)]
    if "smaller" in r:
        cells += [
            f"{r['smaller']}/{r['layers']}",
            f"{100 * r['leaves']:.0f} %",
            *(f"{x:.2f}" for x in (r["macs_kept"], r["proof"], r["total"] - r["proof"])),
            f"{r['memory']:.0f}",
            r.get("onnx", ""),
            "; ".join(
                f"{100 * share:.0f} % {reason}".replace("|", "/") for reason, share in r["locked"].items()
            ),
        ]
    else:
        cells += [""] * 8
    return f"| {' | '.join(cells)} |"


def _state(r: dict[str, Any]) -> str:
    if sound(r):
        return "nothing may leave" if "whole" in r else "ok"
    wrong = [r["error"][:120]] if "error" in r else []
    wrong += [f"original: {r['differences'][0][:80]}"] if r.get("differences") else []
    wrong += ["original: other outputs"] if r.get("bits") is False else []
    wrong += [f"result: {r['runs'][0][:100]}"] if r.get("runs") else []
    wrong += [f"shares {r['shared'][0][:60]}"] if r.get("shared") else []
    wrong += [f"silencing: {r['silencing']:.0e}"] if r.get("silenced") is False else []
    return "; ".join(wrong).replace("|", "/").replace("\n", " ") or "the proof fails"


def main() -> int:
    """Render the page of a file."""
    root = Path(__file__).resolve().parent.parent
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "docs" / "results" / "coverage.json"
    (root / "docs" / "coverage.md").write_text(page(json.loads(given.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
