"""How long one command takes: from a checkpoint to a repaired network, where the time goes, and what was foretold.

    python benchmarks/prune_time.py --model resnet56 --cifar10 FOLDER --weights resnet56.safetensors [--macs 0.513]
        [--effort fast default best] [--images 2048] [--threads 2] [--results docs/results/prune_time.json]
    python benchmarks/prune_time.py --model resnet50 --imagenet FOLDER --images 1000
    python benchmarks/prune_time.py --model mobilenet_v2_folded --imagenet FOLDER --weights F --images 1000
    python benchmarks/prune_time.py --demo idle|busy
    python benchmarks/prune_time.py --render

The stages of `prune` with its defaults, in seconds on the clock; and inside them, from a profile of the same once more
in seconds of the processor (which other programs do not lengthen), the parts that take most of it. On CIFAR-10, what
was lost is measured on 10,000 training images that calibration has not seen, against the outputs of the original: to
compare efforts, and no test. ResNet-50 has random weights, and batch norms with the statistics of the images: shapes
are all that counts. Rows are added to the file as they come; docs/prune_time.md shows them.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "papers")]

from results import about  # noqa: E402

import secateurs as sc  # noqa: E402
from cifar import calibration, loaded  # noqa: E402
from no_finetune_imagenet import images_of  # noqa: E402
from resnet50 import resnet50  # noqa: E402
from secateurs.forecast import forecast, spoken  # noqa: E402
from secateurs.recover import recalibrate_  # noqa: E402
from secateurs.zoo.registry import build  # noqa: E402
from secateurs.zoo.weights import load_weights  # noqa: E402

RECORD = HERE.parent / "docs" / "results" / "prune_time.json"
PAGE = HERE.parent / "docs" / "prune_time.md"
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
ASKED = {
    ("resnet56", "default"): 60,
    ("resnet50", "default"): 1200,
    ("resnet50", "fast"): 300,
    ("mobilenet_v2_folded", "default"): 480,
    ("mobilenet_v2_folded", "fast"): 120,
    ("digits demo", "idle"): 8,
    ("digits demo", "busy"): 15,
}


def seconds(profile: pstats.Stats, place: tuple[str, str]) -> float:
    """Time in a function with all it calls."""
    file, name = place
    rows = profile.stats.items()  # type: ignore[attr-defined]
    return float(sum(row[3] for (path, _, called), row in rows if path.endswith(file) and called == name))


def timed(model: nn.Module, images: Tensor, args: Any, effort: str) -> tuple[dict[str, Any], nn.Module]:
    """One prune, and another under a profile, which takes longer."""
    asked: dict[str, Any] = {"macs": args.macs, "effort": effort, "calibrate": len(images)}
    foretold = forecast(model, images[:1], samples=len(images), stays=args.macs, effort=effort)
    started, spent = time.perf_counter(), time.process_time()
    made = sc.prune(model, images[:1], data=images, **asked)
    wall, spent = time.perf_counter() - started, time.process_time() - spent
    profile = cProfile.Profile(time.process_time)
    with profile:
        sc.prune(model, images[:1], data=images, **asked)
    row = about("python benchmarks/prune_time.py") | {
        "model": args.model,
        "macs": args.macs,
        "effort": effort,
        "images": len(images),
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "foretold": {"survey": foretold.survey, "repair": foretold.repair},
        "wall": {**made.seconds, "all": wall},
        "cpu": spent,
        "inside": {name: seconds(pstats.Stats(profile), place) for name, place in INSIDE.items()},
    }
    return row, made.model


def demo(name: str) -> dict[str, Any]:
    """The demo in a process of its own, for the second time; `name` says what else the machine did."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "secateurs", "demo"], cwd=folder, check=True, capture_output=True
            )
            wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return about("python benchmarks/prune_time.py") | {
        "model": "digits demo",
        "macs": 0.5,
        "effort": name,
        "threads": "its choice",
        "load": os.getloadavg()[0],
        "wall": {"all": wall},
        "cpu": spent,
    }


@torch.no_grad()
def lost(small: nn.Module, model: nn.Module, images: Tensor) -> dict[str, float]:
    """Squared error of the scores relative to their variance, and the share of decisions that stay."""
    a, b = (torch.cat([net(x) for x in images.split(250)]) for net in (model, small))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    error = (a - b).square().sum() / (a - a.mean(0)).square().sum()
    return {"error": float(error), "agree": float((a.argmax(1) == b.argmax(1)).double().mean())}


def begun(args: Any) -> tuple[nn.Module, Tensor, Tensor]:
    """The network, the images to calibrate on, and those to measure on."""
    if args.imagenet is None:
        model, source = loaded(args)
        images = calibration(source, args.images + 10_000)
        return model, images[: args.images], images[args.images :]
    torch.manual_seed(0)
    model = resnet50() if args.model == "resnet50" else build(args.model)
    images = images_of(args.imagenet)[0][: args.images]
    if args.weights is not None:
        load_weights(model, args.weights)
    else:
        recalibrate_(model, images[:100])
    return model.eval(), images, images[:0]


def shown(row: dict[str, Any]) -> str:
    """A row as text."""
    head = f"{row['model']} to {100 * row['macs']:g} % of its MACs, {row['effort']}, {row['threads']} threads"
    lines = [f"{name:30} {spent:8.1f} s" for name, spent in row["wall"].items()]
    lines += [f"{'processor':30} {row['cpu']:8.1f} s"]
    lines += [f"  {name:28} {spent:8.1f} s" for name, spent in row["inside"].items()]
    if "error" in row:
        lines.append(f"error {row['error']:.4f}, {100 * row['agree']:.2f} % decided alike")
    return "\n".join([head, *lines])


HEAD = """# How long one command takes

`prune` with its defaults and a little unlabelled data: what it took on the clock and of the processor, on how many
threads, at what load of the machine's two cores when it ended; what was foretold before it began (survey and repair),
and what we set out to reach on two idle cores (the demo: also on busy ones). Error: the
squared difference of the scores, centred over the classes, relative to their variance, on 10,000 training images that
calibration has not seen. Inside: seconds of the processor.

| network | MACs that stay | images | effort | threads | load | clock | processor | foretold | asked | error |
|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|"""


def page(rows: list[dict[str, Any]]) -> str:
    """The page of all rows."""
    lines, parts = [HEAD], []
    for row in rows:
        asked = ASKED.get((row["model"], row["effort"]))
        error = f"{row['error']:.4f}" if "error" in row else "-"
        images = f"{row['images']:,}" if "images" in row else "-"
        lines.append(
            f"| {row['model']} | {100 * row['macs']:g} % | {images} | {row['effort']} | "
            f"{row['threads']} | {row['load']:.1f} | {spoken(row['wall']['all'])} | {spoken(row['cpu'])} | "
            f"{spoken(sum(row['foretold'].values())) if 'foretold' in row else '-'} | "
            f"{spoken(asked) if asked else '-'} | {error} |"
        )
        inside = ", ".join(f"{k.strip()} {v:.0f}" for k, v in row.get("inside", {}).items() if v >= 0.5)
        said = [inside, row.get("note", ""), f"Commit {row['commit']}, {row['date']}, {row['machine']}"]
        parts.append(f"- {row['model']}, {row['effort']}: {'. '.join(each for each in said if each)}.")
    return "\n".join([*lines, "", *parts]) + "\n"


def main() -> None:
    """Prune once an effort, print, and keep the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cifar10")
    parser.add_argument("--imagenet", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--model", default="resnet56")
    parser.add_argument("--macs", type=float, default=0.513)
    parser.add_argument("--effort", nargs="*", default=["default"])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RECORD)
    parser.add_argument(
        "--demo", choices=("idle", "busy"), help="time the demo, and say what else the machine does"
    )
    parser.add_argument("--render", action="store_true", help="only write the page from the results")
    args = parser.parse_args()
    rows = json.loads(args.results.read_text()) if args.results.exists() else []
    if args.demo:
        rows.append(demo(args.demo))
        args.results.write_text(json.dumps(rows, indent=1) + "\n")
    elif not args.render:
        torch.set_num_threads(args.threads)
        model, images, apart = begun(args)
        for effort in args.effort:
            row, small = timed(model, images, args, effort)
            if len(apart):
                row.update(lost(small.eval(), model, apart))
            print(shown(row), flush=True)
            rows.append(row)
            args.results.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
