"""Where the time of one command goes: from a checkpoint to a repaired network, and how much of it is linear algebra.

    python benchmarks/prune_time.py --cifar10 FOLDER --weights resnet56.safetensors [--model resnet56] [--macs 0.513]
        [--effort fast default best] [--images 2048] [--threads 2] [--results FILE.json]

The stages of `prune` with its defaults, in seconds on the clock; and inside them, from one profile of the same run in
seconds of the processor (which other programs do not lengthen), the parts that take most of it. What was lost is
measured on 10,000 training images that calibration has not seen, against the outputs of the original: to compare
efforts, and no test. Rows are added to FILE.json as they come.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import secateurs as sc
from cifar import arguments, calibration, loaded

INSIDE = {
    "orders of removal": ("select/moments.py", "moments"),
    "moments of the survey": ("secateurs/survey.py", "_grams"),
    "damages, to first order": ("network/felt.py", "until_known"),
    "damages, measured": ("secateurs/survey.py", "_measured"),
    "moments of the repair": ("compensate/walk.py", "_moments"),
    "solving the refits": ("compensate/refit.py", "refit"),
    "refinements": ("compensate/refine.py", "refine_"),
    "  their products with J": ("compensate/refine.py", "forth"),
    "  their products with J^T": ("compensate/refine.py", "back"),
}


def seconds(profile: pstats.Stats, place: tuple[str, str]) -> float:
    """Time in a function with all it calls."""
    file, name = place
    rows = profile.stats.items()  # type: ignore[attr-defined]
    return float(sum(row[3] for (path, _, called), row in rows if path.endswith(file) and called == name))


def timed(model: nn.Module, images: Any, args: Any, effort: str) -> tuple[dict[str, Any], nn.Module]:
    """One prune under a profile."""
    profile = cProfile.Profile(time.process_time)
    started, spent = time.perf_counter(), time.process_time()
    with profile:
        made = sc.prune(
            model,
            torch.zeros(1, 3, 32, 32),
            macs=args.macs,
            data=images,
            effort=effort,
            calibrate=args.images,
        )
    row = {
        "model": args.model,
        "macs": args.macs,
        "effort": effort,
        "images": args.images,
        "threads": args.threads,
        "torch": torch.__version__,
        "wall": {**made.seconds, "all": time.perf_counter() - started},
        "cpu": time.process_time() - spent,
        "inside": {name: seconds(pstats.Stats(profile), place) for name, place in INSIDE.items()},
    }
    return row, made.model


@torch.no_grad()
def lost(small: nn.Module, model: nn.Module, images: Tensor) -> dict[str, float]:
    """Squared error of the scores relative to their variance, and the share of decisions that stay."""
    a, b = (torch.cat([net(x) for x in images.split(250)]) for net in (model, small))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    error = (a - b).square().sum() / (a - a.mean(0)).square().sum()
    return {"error": float(error), "agree": float((a.argmax(1) == b.argmax(1)).double().mean())}


def shown(row: dict[str, Any]) -> str:
    """A row as text."""
    head = f"{row['model']} to {100 * row['macs']:g} % of its MACs, {row['effort']}, {row['threads']} threads"
    lines = [f"{name:30} {spent:8.1f} s" for name, spent in row["wall"].items()]
    lines += [f"{'processor':30} {row['cpu']:8.1f} s"]
    lines += [f"  {name:28} {spent:8.1f} s" for name, spent in row["inside"].items()]
    return "\n".join([head, *lines, f"error {row['error']:.4f}, {100 * row['agree']:.2f} % decided alike"])


def main() -> None:
    """Prune once an effort, print, and keep the rows."""
    parser = arguments(__doc__, "resnet56")
    parser.add_argument("--macs", type=float, default=0.513)
    parser.add_argument("--effort", nargs="*", default=["default"])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, source = loaded(args)
    images = calibration(source, args.images + 10_000)
    for effort in args.effort:
        row, small = timed(model, images[: args.images], args, effort)
        row.update(lost(small.eval(), model, images[args.images :]))
        print(shown(row), flush=True)
        if args.results:
            rows = json.loads(args.results.read_text()) if args.results.exists() else []
            args.results.write_text(json.dumps([*rows, row], indent=1) + "\n")


if __name__ == "__main__":
    main()
