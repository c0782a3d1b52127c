"""Prune half of every group of many published networks through `sc.prune`, look at everything, write the table.

    python benchmarks/coverage.py [--quick] [--peer] [--onnx] [--only NAME ...] [--match TEXT] [--limit 200] [--resume]

Every network is pruned twice: cold (never run) and run before, each in a process of its own. The original is compared
afterwards, attribute for attribute and bit for bit, with what it was; its outputs with those of a process in which
nothing is pruned. The result runs in both modes at two sizes where the original does, and equals the original silenced
by the plan alone. Weights are random (no download); all parameters and batch-norm statistics are disturbed so that
every branch counts. Times are seconds of the processor on one thread. The figures go to docs/results/coverage.json,
from which `coverage_table.py` renders docs/coverage.md.

Beside the package: torchvision, timm, ultralytics, segmentation-models-pytorch, transformers (onnx, onnxscript and
onnxruntime for --onnx; torch-pruning for --peer).
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests"), str(HERE.parent / "tests" / "graph")]
sys.path.append(str(HERE.parent / "src"))

import torch  # noqa: E402
from torch import nn  # noqa: E402

import networks  # noqa: E402
from apart import apart  # noqa: E402
from coverage_measure import expected, pruned, settled  # noqa: E402
from coverage_peer import peer  # noqa: E402
from coverage_table import fine, page  # noqa: E402

WAYS = ("cold", "run before")
PACKAGES = "secateurs torch torchvision timm ultralytics segmentation-models-pytorch transformers onnxruntime".split()  # noqa: SIM905


def measure(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """All figures of one network, by the way it was prepared."""
    with tempfile.TemporaryDirectory() as folder:
        path, row = str(Path(folder) / "weights.pt"), {}
        first = apart(settled, given.limit, name, path)
        if "error" in first:
            return {way: {"error": f"the network cannot be built: {first['error']}"} for way in WAYS}
        for way in WAYS:
            told = apart(expected, given.limit, name, path, way)
            outputs = told.get("expected")
            if outputs is None:
                row[way] = {"error": f"the original does not run: {told.get('error')}"}
                continue
            row[way] = apart(pruned, given.limit, name, path, way, outputs, given.threads, given.onnx)
    if given.peer:
        row["peer"] = apart(peer, given.peer_limit, name, given.threads)
    return row


def main() -> int:
    """Run what was asked, keep the figures after each network, write the table of a whole run."""
    given = _options().parse_args()
    names = given.only if given.only is not None else (networks.QUICK if given.quick else networks.listed())
    names = [name for name in names if given.match in name]
    whole = given.resume or not (given.only or given.quick or given.match)
    results: dict[str, Any] = {}
    if given.resume and given.json.is_file():
        results = json.loads(given.json.read_text())["results"]
        names = names if given.only is not None else [name for name in names if name not in results]
    _warm_up()
    for name in names:
        results[name] = measure(name, given)
        print(_line(name, results[name]), flush=True)
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({**about(given.threads), "results": results}, indent=1) + "\n")
    if whole:
        (HERE.parent / "docs" / "coverage.md").write_text(page(json.loads(given.json.read_text())))
    print(
        f"{sum(fine(row) for row in results.values())} of {len(results)} networks with nothing to say against them"
    )
    return 0 if all(fine(row) for row in results.values()) else 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="a dozen small networks")
    options.add_argument("--peer", action="store_true", help="torch-pruning on the same networks")
    options.add_argument("--onnx", action="store_true", help="write ONNX, compare with ONNX Runtime")
    options.add_argument("--only", nargs="*", help="names as in the table: tv:, timm:, yolo:, smp:, hf:NAME")
    options.add_argument("--match", default="", help="only names that contain this")
    options.add_argument(
        "--resume", action="store_true", help="keep what is in the JSON file; run the rest, or --only"
    )
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--limit", type=float, default=200.0, help="seconds each part may take")
    options.add_argument("--peer-limit", type=float, default=60.0, help="seconds for the peer")
    options.add_argument("--json", type=Path, default=HERE.parent / "docs" / "results" / "coverage.json")
    return options


def about(threads: int) -> dict[str, Any]:
    """Machine, versions, commit and date of a run."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    ).stdout.strip()
    cpu = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "machine": f"{cpu}, {os.cpu_count()} cores, {threads} thread{'s' if threads > 1 else ''}",
        "versions": {"python": platform.python_version(), **versions},
        "commit": commit,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": "python benchmarks/coverage.py " + " ".join(a for a in sys.argv[1:] if a.startswith("--")),
    }


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.is_file() else []


def _warm_up() -> None:
    """Pay for the imports of torch.export once, in the parent, on one thread so that forking stays safe."""
    import secateurs as sc

    torch.set_num_threads(1)
    networks.torchvision()
    small = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    sc.prune(small, torch.randn(1, 3, 8, 8), method="random", keep=0.5)


def _line(name: str, row: dict[str, Any]) -> str:
    parts = []
    for way in WAYS:
        r = row[way]
        if "error" in r:
            parts.append(f"{way}: ERROR {r['error'][:160]}")
        elif "whole" in r:
            parts.append(f"{way}: {r['whole'][:100]}")
        else:
            parts.append(
                f"{way}: {'ok  ' if r.get('passed') else 'FAIL'} {r['smaller']}/{r['layers']} "
                f"macs {r['macs_kept']:.2f} leaves {r['leaves']:.2f} "
                f"proof {r['proof']:.2f} of {r['total']:.2f} s {r.get('onnx', '')}"
            )
        wrong = [f"original {r['differences'][:2]}"] if r.get("differences") else []
        wrong += ["other bits"] if r.get("bits") is False else []
        wrong += [f"{key} {r[key][:2]}" for key in ("runs", "shared") if r.get(key)]
        if r.get("silenced") is False:
            wrong.append(f"silencing {r['silencing']:.1e} at {r['where']}")
        parts.append("; ".join(wrong))
    return f"{name:34} " + " | ".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
