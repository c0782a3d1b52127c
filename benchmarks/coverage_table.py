"""The page that benchmarks/coverage.py writes: what was done, the sums, one row a network."""

from __future__ import annotations

import statistics
from typing import Any


def table(results: dict[str, Any], threads: int) -> str:
    """The page: what was done, the sums, one row a network."""
    rows = [
        "| network | proof | layers | MACs | trace s | remove s | proof s | total s | MB | ONNX | stays whole | peer |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(name, result) for name, result in results.items()),
    ]
    return "\n".join([*_summary(results, threads), "", *rows, ""])


def _summary(results: dict[str, Any], threads: int) -> list[str]:
    good = {name: r for name, r in results.items() if r.get("passed") and r["smaller"]}
    whole = [name for name, r in results.items() if r.get("passed") and not r["smaller"]]
    seconds = [r["total"] for r in good.values()] or [0.0]
    slowest = max(good, key=lambda name: good[name]["total"], default="")
    memory = [r["memory"] / max(1, r["memory_allowed"]) for r in good.values()] or [0.0]
    lines = [
        "# Coverage",
        "",
        "Half of every group that may leave was removed at random from networks with random weights, and the result",
        "proven equal to the silenced original in float64, on random input and on the example (or a part of it).",
        "Written by `benchmarks/coverage.py`, which says how.",
        "",
        f"- pruned and proven: **{len(good)} of {len(results)}**; {_share(results, 'tv:', 'torchvision')}; "
        f"{_share(results, 'timm:', 'timm')}",
        f"- proven, but nothing could leave: {', '.join(whole) or 'none'}",
        f"- seconds of the processor from model to proven plan, {threads} thread{'s' if threads > 1 else ''}: median "
        f"{statistics.median(seconds):.2f}, worst {max(seconds):.1f} ({slowest}), under 10 s: "
        f"{sum(s < 10 for s in seconds)} of {len(seconds)}",
        f"- peak memory over (two forward passes and the weights): median {statistics.median(memory):.2f}",
    ]
    if any("onnx" in r for r in good.values()):
        lines.append(_onnx(good))
    if any("peer" in r for r in results.values()):
        lines += _beside(results, good)
    return [
        *lines,
        "",
        "Layers: convolutions and linear layers that became smaller, of all. MACs: the share that stays. MB: peak",
        "memory above the model's. Stays whole: groups by reason. Peer: seconds, MACs that stay, layers smaller.",
    ]


def _onnx(good: dict[str, Any]) -> str:
    tried = {name: r["onnx"] for name, r in good.items() if r.get("onnx")}
    equal = [float(found) for found in tried.values() if found[0].isdigit()]
    others = [name for name, found in tried.items() if not found[0].isdigit()]
    return (
        f"- ONNX: {len(equal)} of {len(tried)} pruned networks written and equal in ONNX Runtime, to "
        f"{max(equal, default=0.0):.0e} of the output at worst"
        + (f"; not: {', '.join(others)}" if others else "")
    )


def _beside(results: dict[str, Any], good: dict[str, Any]) -> list[str]:
    tried = {name: r for name, r in results.items() if "peer" in r}
    works = {name: r for name, r in tried.items() if r["peer"].get("works") and r["peer"]["smaller"]}
    shared = [r for name, r in works.items() if name in good]
    both = [r["peer"]["total"] / r["total"] for r in shared] or [0.0]
    bare = [r["peer"]["total"] / (r["trace"] + r["remove"]) for r in shared] or [0.0]
    return [
        f"- torch-pruning 1.6.1 as its quick start uses it, in the same run: its result runs, keeps the output's shape "
        f"and is smaller on {len(works)} of {len(tried)} (no proof is made of it); "
        f"{_share(tried, 'tv:', 'torchvision', works)}; "
        f"{_share(tried, 'timm:', 'timm', works)}",
        f"- where both work ({len(shared)} networks) its time is {statistics.median(bare):.1f} times ours without the "
        f"proof and {statistics.median(both):.1f} times ours with it (medians); ours is shorter on "
        f"{sum(r > 1 for r in bare)} without and on {sum(r > 1 for r in both)} with the proof",
        f"- over these networks together: peer {sum(r['peer']['total'] for r in shared):.0f} s, ours "
        f"{sum(r['trace'] + r['remove'] for r in shared):.0f} s without and "
        f"{sum(r['total'] for r in shared):.0f} s with the proof",
    ]


def _row(name: str, r: dict[str, Any]) -> str:
    p = r.get("peer", {})
    if p.get("works"):
        beside = f"{p['total']:.2f}, {p['macs_kept']:.2f}, {p['smaller']}"
    else:
        beside = str(p.get("error", "output shape changed") if p else "")[:60].replace("|", "/")
    if "error" in r:
        return f"| {name} | {r['error'].replace('|', '/')} |" + " |" * 9 + f" {beside} |"
    cells = [
        name,
        f"{r['diff']:.0e}" if r["passed"] else f"FAILED {r['problem']}",
        f"{r['smaller']}/{r['layers']}",
        *(f"{r[key]:.2f}" for key in ("macs_kept", "trace", "remove", "proof", "total")),
        f"{r['memory']:.0f}",
        r.get("onnx", ""),
        "; ".join(f"{count} {reason}" for reason, count in r["locked"].items()),
        beside,
    ]
    return f"| {' | '.join(cells)} |"


def _share(results: dict[str, Any], prefix: str, label: str, works: dict[str, Any] | None = None) -> str:
    chosen = {n: r for n, r in results.items() if n.startswith(prefix)}
    done = [
        n for n, r in chosen.items() if (r.get("passed") and r["smaller"] if works is None else n in works)
    ]
    return f"{label} {len(done)} of {len(chosen)}"
