"""What the repair is worth: methods down, repairs across, accuracy straight after pruning.

    python benchmarks/repairs.py --cifar10 FOLDER --weights resnet20.safetensors [--model resnet20] [--macs 0.7 0.5]
        [--methods l1-norm ...] [--repairs none bias ...] [--calibrate 1000] [--results FILE.json] [--write FILE.md]

Every method removes the same share of multiply-adds, uniformly over the first convolutions of the blocks, but for
`default`, which shares it out over the whole network as the command does without a method; the repair sees unlabelled
training images. Results are added to FILE.json as they come; the table is written from it.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import torch

import secateurs as sc
from cifar import arguments, loaded
from cifar import calibration as calibration_of
from secateurs import compensate, methods
from secateurs.meters.accuracy import evaluate
from secateurs.recover.recalibrate import recalibrate_

DEFAULT = "default"
REPAIRS = ["none", "recalibrate", "bias", "weights", "merge", "least-squares-once", "least-squares"]


def every() -> list[str]:
    """All methods but searches, which are orders of `fp-omp`, and kinds of centrality; and the default."""
    plain = (name for name in methods.names() if methods.get(name).search is None)
    return [*(name for name in plain if not name.startswith("centrality-")), DEFAULT]


def pruned(model: Any, graph: Any, name: str, macs: float, calibration: torch.Tensor) -> Any:
    """What the command makes without a repair; of a named method uniform inside the blocks, the stream whole."""
    whole = {group.name: 1.0 for group in graph.free if len(group.slots_as("producer")) > 1}
    example = torch.zeros(1, 3, 32, 32)
    settings: dict[str, Any] = {"macs": macs, "data": calibration, "calibrate": len(calibration)}
    if name == DEFAULT:
        return sc.prune(model, example, compensate="none", **settings)
    return sc.prune(model, example, method=name, allocate="uniform", layers=whole, **settings)


def main() -> None:
    """Read the arguments, fill the table, write it."""
    parser = arguments(__doc__, "resnet20")
    parser.add_argument("--macs", type=float, nargs="*", default=[0.7, 0.5])
    parser.add_argument("--methods", nargs="*", default=every())
    parser.add_argument("--repairs", nargs="*", default=REPAIRS)
    parser.add_argument("--calibrate", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--write", type=Path, default=None)
    args = parser.parse_args()
    model, source = loaded(args)
    calibration = calibration_of(source, args.calibrate)
    graph = sc.trace(model, torch.zeros(1, 3, 32, 32))
    before = 100 * evaluate(model, source.test).value
    results = json.loads(args.results.read_text()) if args.results and args.results.exists() else []
    for name in args.methods:
        for macs in args.macs:
            found = pruned(model, graph, name, macs, calibration)
            for how in args.repairs:
                small, started = copy.deepcopy(found.model), time.process_time()
                if how == "recalibrate":
                    recalibrate_(small, calibration)
                else:
                    removal = compensate.Removal(model, graph, found.plan, calibration, args.calibrate)
                    compensate.repair_(how, small, removal)
                spent = time.process_time() - started
                row = {
                    "model": args.model,
                    "before": before,
                    "method": name,
                    "macs": macs,
                    "repair": how,
                    "accuracy": 100 * evaluate(small, source.test).value,
                    "cpu": spent,
                    "samples": args.calibrate,
                }
                print(json.dumps(row), flush=True)
                results.append(row)
                if args.results:
                    args.results.write_text(json.dumps(results, indent=1))
    text = table(results)
    print(text)
    if args.write:
        args.write.write_text(text)


def table(results: list[Any]) -> str:
    """Markdown, one part for each network and cut."""
    lines = [
        "# What the repair is worth",
        "",
        "CIFAR-10 test accuracy in per cent straight after pruning, without labels and without retraining; the same",
        "share of multiply-adds leaves with every method, uniformly over the first convolutions of the blocks, but for",
        "`default` (`moments` with `sensitivity` over the whole network, what the command does without a method).",
        "`benchmarks/repairs.py` makes this table.",
    ]
    for model, macs, before, samples in sorted(
        {(r["model"], r["macs"], r["before"], r["samples"]) for r in results}, key=lambda k: (k[0], -k[1])
    ):
        some = [r for r in results if r["model"] == model and r["macs"] == macs and r["samples"] == samples]
        repairs = list(dict.fromkeys(r["repair"] for r in some))
        found = {(r["method"], r["repair"]): r["accuracy"] for r in some}
        title = f"## {model} ({before:.2f} %), {100 * (1 - macs):.0f} % of the MACs cut, {samples} images"
        lines += [
            "",
            title,
            "",
            "| method | " + " | ".join(repairs) + " |",
            "|---" * (1 + len(repairs)) + "|",
        ]
        for name in dict.fromkeys(r["method"] for r in some):
            cells = [f"{found[name, how]:.2f}" if (name, how) in found else "" for how in repairs]
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
