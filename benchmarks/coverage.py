"""Prune half of every group of many published networks, prove it, and write docs/coverage.md.

    python benchmarks/coverage.py [--quick] [--peer] [--onnx] [--only NAME ...] [--threads 2] [--limit 150]

Every network runs in a process of its own. Weights are random (no download); all parameters and batch-norm
statistics are disturbed so that every branch counts. Times are seconds of the processor (user and system, all
threads together, so that a busy machine does not change them) from a model to a proven plan, without data, after a
first trace of a tiny network in the parent has paid for PyTorch's own imports.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "graph")]
sys.path.append(str(HERE.parent / "src"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

import networks  # noqa: E402
from coverage_table import table  # noqa: E402

MB = 2**20


def measure(name: str, threads: int, onnx: bool) -> Iterator[dict[str, Any]]:
    """Trace, halve, remove and prove one network; what it took and what stayed whole; then its ONNX file."""
    from checks import half, outputs, plan_of

    from secateurs.graph import Tracer, retrace_by_values
    from secateurs.surgery import remove, verify

    torch.set_num_threads(threads)
    model, example = networks.build(name)
    networks.settle(model, example)
    weights = sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    gc.collect()
    start = _reset_peak()
    before = time.process_time()
    original = outputs(model, example)
    forward_seconds = time.process_time() - before
    forward = _peak() - start
    gc.collect()
    start, begun = _reset_peak(), time.process_time()
    tracer = Tracer(model, example)
    graph = tracer.graph()
    traced = time.process_time()
    rounds, removing, proving = 0, 0.0, 0.0
    while True:
        rng = np.random.default_rng(0)
        at = time.process_time()
        keep = {group.name: half(group.size, rng) for group in graph.free}
        plan = plan_of(graph, keep)
        small = remove(model, plan)
        removed = time.process_time()
        proof = verify(model, small, graph.silenced(keep), example)
        proved = time.process_time()
        removing, proving = removed - at, proved - removed
        rounds += 1
        again = None if proof.passed or rounds > 4 else retrace_by_values(tracer, keep)
        if again is None:
            break
        graph = again
    total = time.process_time() - begun
    peak = _peak() - start
    whole, less = _widths(model), _widths(small)
    changed = outputs(small, example)
    result = {
        "name": name,
        "passed": bool(proof.passed),
        "diff": proof.max_rel_diff,
        "problem": proof.problem,
        "rounds": rounds,
        "layers": len(whole),
        "smaller": sum(less[k] != whole[k] for k in whole),
        "macs": graph.costs.macs(),
        "macs_kept": graph.costs.macs(graph.counts(keep)) / max(1, graph.costs.macs()),
        "params_right": sum(p.numel() for p in small.parameters()) == plan.predicted["params"],
        "trace": traced - begun,
        "remove": removing,
        "proof": proving,
        "total": total,
        "forward": forward_seconds,
        "memory": peak / MB,
        "memory_allowed": (2 * max(forward, 0) + weights) / MB,
        "free": len(graph.free),
        "locked": _reasons(graph),
        "untouched": dict(Counter(graph.untouched.values())),
        "moved": _moved(original, changed),
    }
    yield result
    if onnx:
        yield {"onnx": _onnx(small, example)}


def _moved(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    """How far the outputs have moved, relative to the largest: nothing would make the proof empty."""
    return max(
        (
            float((a - b).abs().max()) / (float(a.abs().max()) or 1.0)
            for a, b in zip(before, after, strict=True)
            if a.shape == b.shape and a.is_floating_point() and a.numel()
        ),
        default=0.0,
    )


def _onnx(small: nn.Module, example: Any) -> str:
    import tempfile

    from secateurs.export import write_onnx

    try:
        with tempfile.TemporaryDirectory() as folder:
            return f"{write_onnx(small, example, Path(folder) / 'net.onnx').max_rel_diff:.0e}"
    except Exception as error:
        return f"no: {type(error).__name__}"


def _widths(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(m.weight.shape)
        for name, m in model.named_modules()
        if isinstance(m, (nn.modules.conv._ConvNd, nn.Linear))
    }


def _reasons(graph: Any) -> dict[str, int]:
    found: Counter[str] = Counter()
    for group in graph.locked:
        found[str(group.locked).split(" in ")[0].split(" at ")[0][:70]] += 1
    return dict(found)


def peer(name: str, threads: int) -> Iterator[dict[str, Any]]:
    """torch-pruning as its quick start uses it; `works` means that the result runs and keeps its output's shape."""
    import torch_pruning as tp
    from checks import outputs

    torch.set_num_threads(threads)
    model, example = networks.build(name)
    networks.settle(model, example)
    shapes = [tuple(t.shape) for t in outputs(model, example)]
    macs, _ = tp.utils.count_ops_and_params(model, example)
    whole = _widths(model)
    begun = time.process_time()
    ignored = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    pruner = tp.pruner.BasePruner(
        model,
        example,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=ignored,
    )
    pruner.step()
    total = time.process_time() - begun
    less = _widths(model)
    works = [tuple(t.shape) for t in outputs(model, example)] == shapes
    kept, _ = tp.utils.count_ops_and_params(model, example)
    yield {
        "works": works,
        "total": total,
        "macs_kept": kept / macs,
        "smaller": sum(less.get(k) != whole[k] for k in whole),
    }


def _reset_peak() -> int:
    """Forget the peak of resident memory so far; returns what is resident now, in bytes."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0


def apart(work: Any, limit: float, *args: Any) -> dict[str, Any]:
    """Run in a forked process, gather what it yields; a crash, a signal and the time limit are results, too."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            for found in work(*args):
                os.write(writer, json.dumps(found).encode() + b"\n")
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            first = (str(error).strip() or "?").splitlines()[0][:200]
            found = {"error": f"{type(error).__name__}: {first} ({Path(place.filename).name}:{place.lineno})"}
            os.write(writer, json.dumps(found).encode() + b"\n")
        os._exit(0)
    os.close(writer)
    text, until, late = b"", time.monotonic() + limit, False
    while not late:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        late = not ready
        part = os.read(reader, 65536) if ready else b""
        text += part
        if ready and not part:
            break
    if late:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    os.waitpid(pid, 0)
    found = [json.loads(line) for line in text.splitlines()]
    if late:
        reason = f"took longer than {limit:.0f} s"
        found.append({"onnx": reason} if found else {"error": reason})
    return {key: value for part in found or [{"error": "the process died"}] for key, value in part.items()}


def main() -> int:
    """Run what was asked, keep the figures in build/coverage.json, write the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="a dozen small networks")
    options.add_argument("--peer", action="store_true", help="torch-pruning on the same networks")
    options.add_argument("--onnx", action="store_true", help="write ONNX, compare with ONNX Runtime")
    options.add_argument("--only", nargs="*", help="names as in the table, tv:NAME or timm:NAME")
    options.add_argument("--match", default="", help="only names that contain this")
    options.add_argument(
        "--resume", action="store_true", help="keep what is in the JSON file; run the rest, or --only"
    )
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--limit", type=float, default=200.0, help="seconds a network may take")
    options.add_argument("--peer-limit", type=float, default=60.0, help="seconds for the peer")
    options.add_argument("--json", type=Path, default=HERE.parent / "build" / "coverage.json")
    options.add_argument(
        "--out", type=Path, default=None, help="table to write (docs/coverage.md for a whole run)"
    )
    given = options.parse_args()
    names = given.only if given.only is not None else (networks.QUICK if given.quick else networks.listed())
    names = [name for name in names if given.match in name]
    whole = given.resume or not (given.only or given.quick or given.match)
    results: dict[str, Any] = {}
    if given.resume and given.json.is_file():
        results = json.loads(given.json.read_text())["results"]
        names = names if given.only is not None else [name for name in names if name not in results]
    _warm_up()
    for name in names:
        row = results[name] = apart(measure, given.limit, name, given.threads, given.onnx)
        print(_line(name, row), flush=True)
        if given.peer:
            row["peer"] = apart(peer, given.peer_limit, name, given.threads)
            print(f"{name:38} peer {row['peer']}", flush=True)
        _keep(given.json, given.threads, results)
    out = given.out or (HERE.parent / "docs" / "coverage.md" if whole else None)
    text = table(results, given.threads)
    print("\n".join(text.splitlines()[:14]))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    return 0 if all(row.get("passed") for row in results.values()) else 1


def _keep(path: Path, threads: int, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"threads": threads, "results": results}, indent=1))


def _warm_up() -> None:
    """Pay for the imports of torch.export once, in the parent, on one thread so that forking stays safe."""
    from checks import prune

    torch.set_num_threads(1)
    networks.torchvision()
    prune(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval(),
        torch.randn(1, 3, 8, 8),
    )
    import timm  # noqa: F401


def _line(name: str, row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{name:38} ERROR {row['error']}"
    parts = [
        f"{name:38} {'ok  ' if row['passed'] else 'FAIL'} {row['diff']:.0e}",
        f"{row['smaller']:3d}/{row['layers']:3d} macs {row['macs_kept']:.3f}",
        f"t {row['trace']:.2f} r {row['remove']:.2f} p {row['proof']:.2f} = {row['total']:.2f}s",
        f"(fwd {row['forward']:.2f}) mem {row['memory']:.0f}/{row['memory_allowed']:.0f}",
        f"moved {row['moved']:.1e} rounds {row['rounds']} params {'ok' if row['params_right'] else 'WRONG'}",
        f"{row['problem']} {row['locked']} {row.get('onnx', '')}",
    ]
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
