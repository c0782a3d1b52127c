"""Accuracy straight after pruning, without labels and without retraining.

    python benchmarks/no_finetune.py --cifar10 FOLDER --weights resnet56.safetensors [--model resnet56]
        [--macs 0.7 0.59 0.513 0.4] [--params 0.421] [--rounds 2] [--calibrate 3000] [--reconstruct EPOCHS]
        [--images 10000]
        [--results FILE.json] [--write docs/no_finetune.md]

FOLDER holds the data set's official binary files. Calibration sees training images only, without their labels;
test images serve for the last column alone. Results are added to FILE.json as they come, and the table is
written from it, so that a long table can be made in several runs.
"""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import secateurs as sc
from cifar import arguments, loaded
from cifar import calibration as calibration_of
from secateurs.compensate import least_squares_
from secateurs.contracts import Order
from secateurs.graph import Graph
from secateurs.meters.accuracy import evaluate
from secateurs.plans import keep_of
from secateurs.surgery import Plan
from secateurs.survey import Survey, survey


def planned(graph: Graph, found: Survey, macs: float, params: float | None) -> Plan:
    """Keep-sets for a share of MACs and, if given, of parameters as well: the blend is found by halving."""
    ranking = found.ranking(graph)
    if params is None:
        return sc.plan(ranking, macs=macs, allocate=found.sensitivity())
    low, high = 0.0, 1.0
    for _ in range(20):
        blend = (low + high) / 2
        made = sc.plan(ranking, params=params, allocate=found.sensitivity(blend))
        low, high = (blend, high) if made.predicted["macs"] <= macs * graph.costs.macs() else (low, blend)
    return sc.plan(ranking, params=params, allocate=found.sensitivity(low))


def looked_up(path: Path) -> Survey:
    """A survey made before."""
    kept = json.loads(path.read_text())
    orders = {k: Order(tuple(v)) for k, v in kept["orders"].items()}
    return Survey(orders, {k: tuple((n, d) for n, d in v) for k, v in kept["curves"].items()})


def run(
    model: nn.Module, graph: Graph, found: Survey, calibration: Any, args: Any, macs: float, params: Any
) -> Any:
    """One row of the table."""
    example = torch.zeros(1, 3, 32, 32)
    made = planned(graph, found, macs, params)
    small = sc.remove(model, made)
    proof = sc.verify(model, small, graph.silenced(keep_of(made)), example)
    row: dict[str, Any] = {
        "model": args.model,
        "macs_cut": 1 - made.predicted["macs"] / graph.costs.macs(),
        "params_cut": 1 - made.predicted["params"] / graph.costs.params(),
        "proof": proof.max_rel_diff,
        "plain": 100 * evaluate(small, args.test).value,
        "kept": {name: len(units) for name, units in made.kept.items()},
    }
    started, cpu = time.perf_counter(), time.process_time()
    least_squares_(small, model, made, calibration, rounds=args.rounds, limit=args.calibrate)
    row["seconds"], row["cpu"] = time.perf_counter() - started, time.process_time() - cpu
    row["repaired"] = 100 * evaluate(small, args.test).value
    row["samples"], row["rounds"] = args.calibrate, args.rounds
    if args.reconstruct:
        from secateurs.compensate import reconstruct_

        started, cpu = time.perf_counter(), time.process_time()
        reconstruct_(small, model, made, args.more, epochs=args.reconstruct, limit=args.images)
        row["reconstruct_seconds"] = time.perf_counter() - started
        row["reconstruct_cpu"] = time.process_time() - cpu
        row["reconstructed"] = 100 * evaluate(small, args.test).value
        row["epochs"], row["reconstruct_images"] = args.reconstruct, args.images
    return row


def table(results: list[Any]) -> str:
    """Markdown."""
    lines = [
        "# Straight out of `prune`: no labels, no retraining",
        "",
        "CIFAR-10 test accuracy in per cent. Selection by `moments`, allocation by `sensitivity`, repair by sequential",
        "`least-squares` with the layers before refitted as well; calibration on unlabelled training images; nothing",
        "was chosen on test images. `plain` is the same network before the repair. Seconds of processors are those of",
        "the repair; `benchmarks/no_finetune.py` makes this table. Reconstructed: after so many passes over so many",
        "unlabelled images with gradient steps, drop in brackets.",
        "",
        "| network | MACs cut | params cut | before | plain | repaired | drop | images | rounds | CPU s |"
        " reconstructed | passes | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(results, key=lambda r: (r["model"], r["macs_cut"])):
        end = ("", "", "")
        if "reconstructed" in r:
            end = (
                f"{r['reconstructed']:.2f} ({r['before'] - r['reconstructed']:.2f})",
                f"{r['epochs']} x {r['reconstruct_images']}",
                f"{r['reconstruct_cpu']:.0f}",
            )
        cells = [
            r["model"],
            f"{100 * r['macs_cut']:.1f} %",
            f"{100 * r['params_cut']:.1f} %",
            f"{r['before']:.2f}",
            f"{r['plain']:.2f}",
            f"{r['repaired']:.2f}",
            f"{r['before'] - r['repaired']:.2f}",
            str(r["samples"]),
            str(r["rounds"]),
            f"{r['cpu']:.0f}",
            *end,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"PyTorch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} thread(s)."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments, run the rows, write the table."""
    parser = arguments(__doc__, "resnet56")
    parser.add_argument("--macs", type=float, nargs="*", default=[0.7, 0.59, 0.513, 0.4])
    parser.add_argument("--params", type=float, default=None, help="a second target, for every row")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--calibrate", type=int, default=3000)
    parser.add_argument("--reconstruct", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--images", type=int, default=10000, help="for the reconstruction, unlabelled too")
    parser.add_argument(
        "--survey", type=Path, default=None, help="a file to keep the survey in, or to read it from"
    )
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--write", type=Path, default=None)
    args = parser.parse_args()
    model, source = loaded(args)
    args.test = source.test
    calibration = calibration_of(source, args.calibrate)
    if args.reconstruct:
        args.more = calibration_of(source, args.images)
    graph = sc.trace(model, torch.zeros(1, 3, 32, 32))
    before = 100 * evaluate(model, args.test).value
    started = time.perf_counter()
    found = (
        looked_up(args.survey) if args.survey and args.survey.exists() else survey(model, graph, calibration)
    )
    if args.survey:
        kept = {"orders": {k: v.units for k, v in found.orders.items()}, "curves": found.curves}
        args.survey.write_text(json.dumps(kept))
    print(
        f"survey: {time.perf_counter() - started:.0f} s, CPU {time.process_time():.0f} s in all", flush=True
    )
    for name, curve in found.curves.items():
        print(name, " ".join(f"{k}:{d:.4f}" for k, d in curve))
    results = json.loads(args.results.read_text()) if args.results and args.results.exists() else []
    for macs in args.macs:
        row = {"before": before, **run(model, graph, found, calibration, args, macs, args.params)}
        print(json.dumps(row), flush=True)
        results.append(row)
        if args.results:
            args.results.write_text(json.dumps(results, indent=1))
    text = table(results)
    print(text)
    if args.write:
        args.write.write_text(text)


if __name__ == "__main__":
    main()
