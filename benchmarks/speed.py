"""How fast networks at half their multiply-adds are, by what their widths are rounded to, and what that costs.

    python benchmarks/speed.py [--network resnet50 mobilenet_v2 vgg16 resnet56]
    python benchmarks/speed.py --accuracy resnet20 --cifar10 FOLDER --weights resnet20.safetensors
    python benchmarks/speed.py --render

The first line prunes networks with random weights (time does not depend on them) by `l1-norm`, every layer alike, and
times them at batch 1: in turns, some passes of one network after the other, and of each the fastest, as other programs
only ever add to a time. That is by the clock with two threads, which says something on a machine that does nothing
else, and by the processor time of one thread, which other programs hardly lengthen. The second prunes a trained network
by `prune` with its defaults on 512 training images and scores it on the test images, with one thread. Both write
docs/results/speed.json, a network at a time; the last line writes docs/speed.md from it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import secateurs as sc
from cifar import calibration, loaded
from papers.results import about
from resnet50 import resnet50
from secateurs.targets.widths import RoundTo
from secateurs.zoo.registry import build
from speed_page import page

ROOT = Path(__file__).resolve().parent.parent
FOUND, PAGE = ROOT / "docs" / "results" / "speed.json", ROOT / "docs" / "speed.md"

NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet50": (resnet50, 224),
    "mobilenet_v2": (lambda: build("mobilenet_v2_folded"), 224),
    "vgg16": (lambda: build("vgg16_bn"), 32),
    "resnet56": (lambda: build("resnet56"), 32),
}
"""What makes them, and the side of an input."""
WIDTHS: tuple[RoundTo, ...] = (1, 8, 16, 32, "auto")
ACCURATE: tuple[RoundTo, ...] = (1, "auto", 8)
HALF = 0.5
THREADS, PASSES = 2, 3
SECONDS = 10.0
IMAGES = 512
Passes = Sequence[Callable[[], Any]]


def fastest(passes: Passes, clock: Callable[[], float]) -> tuple[list[float], int]:
    """Milliseconds of the fastest pass of each network, which take turns, and the number of rounds."""
    best = [float("inf")] * len(passes)
    for run in passes:
        run(), run()
    rounds, started = 0, time.perf_counter()
    while rounds < 5 or time.perf_counter() - started < SECONDS:
        for step in range(len(passes)):
            which = (step + rounds) % len(passes)
            for _ in range(PASSES):
                begun = clock()
                passes[which]()
                best[which] = min(best[which], 1000 * (clock() - begun))
        rounds += 1
    return best, rounds


def in_pytorch(networks: Sequence[nn.Module], example: Tensor, layout: torch.memory_format) -> Passes:
    """A pass of each network in eager mode."""
    inputs = example.contiguous(memory_format=layout)
    moved = [network.to(memory_format=layout) for network in networks]  # type: ignore[call-overload]
    return [lambda network=network: network(inputs) for network in moved]


def in_onnx_runtime(files: Sequence[Path], example: Tensor, threads: int) -> Passes:
    """A pass of each file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    passes = []
    for file in files:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        inputs = {session.get_inputs()[0].name: example.numpy()}
        passes.append(lambda session=session, inputs=inputs: session.run(None, inputs))
    return passes


def written(networks: Sequence[nn.Module], example: Tensor, folder: Path) -> list[Path]:
    """ONNX files by PyTorch's older exporter, which takes a tenth of the time that `sc.export_onnx` does."""
    files = [folder / f"{index}.onnx" for index in range(len(networks))]
    for network, file in zip(networks, files, strict=True):
        torch.onnx.export(network, (example,), str(file), dynamo=False)
    return files


def measured(networks: Sequence[nn.Module], example: Tensor) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Milliseconds of each network in each runtime by each clock, and the rounds that were run."""
    found: dict[str, list[float]] = {}
    rounds: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = written(networks, example, Path(folder))
        sessions = {threads: in_onnx_runtime(files, example, threads) for threads in (1, THREADS)}
    for threads, clock, end in ((THREADS, time.perf_counter, ""), (1, time.process_time, "_processor")):
        torch.set_num_threads(threads)
        found["onnxruntime" + end], rounds["onnxruntime" + end] = fastest(sessions[threads], clock)
        for how, layout in (("channels_last", torch.channels_last), ("pytorch", torch.contiguous_format)):
            found[how + end], rounds[how + end] = fastest(in_pytorch(networks, example, layout), clock)
    return found, rounds


def planned(ranking: Any) -> tuple[dict[str, sc.Plan], list[str]]:
    """Plans to half of the multiply-adds in all widths, and the multiples with which no plan gets there."""
    plans, beyond = {}, []
    for width in WIDTHS:
        try:
            plans[str(width)] = sc.plan(ranking, macs=HALF, round_to=width)
        except sc.TargetError:
            beyond.append(str(width))
    return plans, beyond


@torch.no_grad()
def timed(name: str) -> dict[str, Any]:
    """One network whole and at half its multiply-adds in all widths: rows of counts and milliseconds."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    make, side = NETWORKS[name]
    model, example = make().eval(), torch.randn(1, 3, side, side)
    ranking = sc.rank(sc.trace(model, example), "l1-norm")
    plans, beyond = planned(ranking)
    networks = [model, *(sc.remove(model, plan).eval() for plan in plans.values())]
    found, rounds = measured(networks, example)
    rows = []
    for index, (network, width) in enumerate(zip(networks, ("whole", *plans), strict=True)):
        costs = sc.count_costs(network, example)
        row: dict[str, Any] = {"widths": width, "macs": costs.macs, "params": costs.params}
        row.update({how: times[index] for how, times in found.items()})
        row["multiples"] = None if width == "whole" else multiples_in(plans[width].kept)
        row["same_as_free"] = width != "whole" and plans[width].kept == plans["1"].kept
        rows.append(row)
    load = [round(one, 1) for one in os.getloadavg()]
    return {
        "input": side,
        "threads": THREADS,
        "rounds": rounds,
        "passes": PASSES,
        "load": load,
        "out_of_reach": beyond,
        "rows": rows,
    }


def multiples_in(kept: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many of the groups that lost units keep a multiple of 32, of 16 or 8 at most, or of none of these."""
    found = Counter(
        next((str(n) for n in (32, 16, 8) if len(units) % n == 0), "none") for units in kept.values()
    )
    return dict(sorted(found.items()))


def scored(args: Any) -> dict[str, Any]:
    """A trained network at a share of its multiply-adds, repaired: free widths beside others."""
    torch.set_num_threads(1)
    args.model = args.accuracy
    model, source = loaded(args)
    images = calibration(source, IMAGES)
    rows: list[dict[str, Any]] = []
    plans = {}
    for width in ACCURATE:
        asked: dict[str, Any] = {
            "macs": HALF,
            "round_to": width,
            "calibrate": len(images),
            "effort": args.effort,
        }
        made = sc.prune(model, images[:1], data=images, **asked)
        plans[str(width)] = made.plan.kept
        found = sc.evaluate(made.model, source.test)
        row: dict[str, Any] = {"widths": str(width), "macs": made.after.macs / made.before.macs}
        row.update(accuracy=100 * found.value, multiples=multiples_in(made.plan.kept))
        row.update(proof=made.verification.max_rel_diff, same_as_free=made.plan.kept == plans["1"])
        rows.append(row)
        print(json.dumps(row), flush=True)
    return {
        "whole": 100 * sc.evaluate(model, source.test).value,
        "share": HALF,
        "images": len(images),
        "test": len(source.test),
        "effort": args.effort,
        "rows": rows,
    }


def kept(part: str, name: str, found: dict[str, Any], command: str) -> None:
    """Put one network into the file of results."""
    results = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    around = about(command)
    around["versions"]["onnxruntime"] = importlib.metadata.version("onnxruntime")
    results.setdefault(part, {})[name] = {**found, "about": around}
    FOUND.write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    """Measure what was asked, or write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--accuracy", choices=("resnet20", "resnet56"))
    parser.add_argument("--cifar10")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--weights")
    parser.add_argument("--render", action="store_true")
    args = parser.parse_args()
    if args.render:
        PAGE.write_text(page(json.loads(FOUND.read_text())))
    elif args.accuracy:
        kept(
            "accuracy", args.accuracy, scored(args), f"python benchmarks/speed.py --accuracy {args.accuracy}"
        )
    else:
        for name in args.network:
            found = timed(name)
            kept("speed", name, found, f"python benchmarks/speed.py --network {name}")
            whole = found["rows"][0]
            for row in found["rows"]:
                gains = {how: round(whole[how] / row[how], 2) for how in found["rounds"]}
                print(name, row["widths"], round(row["macs"] / whole["macs"], 4), gains, flush=True)


if __name__ == "__main__":
    main()
