"""Accuracy straight after pruning, without labels, without retraining, over several draws of the calibration images.

    python benchmarks/no_finetune.py --cifar10 FOLDER --models FOLDER --keep FOLDER [--only resnet20 resnet56]
        [--draws 8] [--calibrate 3000] [--steps 5]
    python benchmarks/no_finetune.py --render

FOLDER holds the official binary files, MODELS the weights `resnet20.safetensors` and so on. Calibration sees training
images without their labels; nothing is chosen on test images. A cell is a network, a budget and a draw: one survey of
each draw serves all its budgets, cells that are done stay in `--keep`. Draws come one after the other, so that a run
that ends early has all rows, of fewer draws. `--steps` gives the networks of the first draw so many epochs of
label-free gradient steps on all training images. Results go to docs/results/no_finetune.json,
the page to docs/no_finetune.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "papers")]

from results import about, origin, spread  # noqa: E402

import secateurs as sc  # noqa: E402
from grail import grail_, grams  # noqa: E402
from secateurs.compensate import least_squares_, reconstruct_  # noqa: E402
from secateurs.data import resolve_data  # noqa: E402
from secateurs.data.augment import Shifts  # noqa: E402
from secateurs.data.batches import joined  # noqa: E402
from secateurs.data.normalisation import IMAGENET  # noqa: E402
from secateurs.plans import keep_of  # noqa: E402
from secateurs.surgery import Plan  # noqa: E402
from secateurs.survey import Survey, survey  # noqa: E402
from secateurs.zoo.registry import build  # noqa: E402
from secateurs.zoo.weights import load_weights  # noqa: E402
from two_stage import two_stage  # noqa: E402

RECORD = HERE.parent / "docs" / "results" / "no_finetune.json"
IMAGENET_RECORD = RECORD.with_name("no_finetune_imagenet.json")
PAGE = HERE.parent / "docs" / "no_finetune.md"
# Network, share of MACs and of parameters that stays, points lost that were asked for without steps and with them.
ROWS: tuple[tuple[str, float, float | None, float | None, float | None], ...] = (
    ("resnet20", 0.7, None, None, None),
    ("resnet20", 0.494, None, 2.2, None),
    ("resnet56", 0.7, None, 0.10, None),
    ("resnet56", 0.512, None, 0.7, 0.4),
    ("resnet56", 0.5, 0.421, 1.5, 0.8),
    ("resnet56", 0.59, None, 0.3, None),
    ("resnet56", 0.4, None, 1.3, None),
)
STEPPED = (("resnet20", 0.494), ("resnet56", 0.512), ("resnet56", 0.5))  # what `--steps` trains
STEPS: dict[str, Any] = {"batch": 40, "learning_rate": 0.006}
RULED = (("resnet20", 0.494),)  # what the two-stage rule makes as well
# Rows whose drop is a tenth of a point need all draws; the others of ResNet-56 get `--most`.
FEW = ("resnet56", 0.7)


def cells(given: argparse.Namespace) -> Iterator[tuple[str, int, float, float | None]]:
    """Network, draw, shares, in the order in which they are made."""
    for draw in range(given.draws):
        for name, macs, params, *_ in ROWS:
            long = name == "resnet56" and (name, macs) != FEW
            if name in given.only and not (long and draw >= given.most):
                yield name, draw, macs, params


@torch.no_grad()
def right(model: nn.Module, images: Tensor, labels: Tensor) -> np.ndarray[Any, Any]:
    """Which images a network gets right."""
    found = torch.cat([model(x).argmax(1) for x in images.split(250)])
    return (found == labels).numpy()


class Bench:
    """One network: its structure, and one survey at a time."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self.name, self.given = name, given
        self.model = load_weights(build(name), given.models / f"{name}.safetensors").eval()
        self.source = resolve_data(f"cifar10:{given.cifar10}", normalisation=IMAGENET)
        self.graph = sc.trace(self.model, torch.zeros(1, 3, 32, 32))
        parts = [self.source.test[k] for k in range(given.test or len(self.source.test))]
        self.images = torch.stack([torch.as_tensor(x) for x, _ in parts])
        self.labels = torch.tensor([int(y) for _, y in parts])
        self.whole = right(self.model, self.images, self.labels)
        self.draw = -1

    def drawn(self, draw: int) -> tuple[Survey, Tensor, dict[str, Tensor]]:
        """Survey, images and GRAIL's moments of a draw."""
        if draw != self.draw:
            (self.seen,) = joined(self.source.calibration(self.given.calibrate, draw), self.given.calibrate)
            start = time.process_time()
            self.found = survey(self.model, self.graph, self.seen, seed=draw)
            self.spent, self.draw = time.process_time() - start, draw
            self.grams = grams(self.model, self.seen)
        return self.found, self.seen, self.grams

    def cell(self, draw: int, macs: float, params: float | None) -> dict[str, Any]:
        """One budget of a draw: GRAIL's repair and ours of the same removal."""
        found, seen, known = self.drawn(draw)
        asked: dict[str, float] = {"macs": macs} | ({} if params is None else {"params": params})
        made = sc.plan(found.ranking(self.graph), **asked, allocate=found.sensitivity(), round_to=1)
        small = sc.remove(self.model, made)
        proof = sc.verify(self.model, small, self.graph.silenced(keep_of(made)), self.images[:1])
        plain = right(small, self.images, self.labels)
        grail_(small, self.model, made, known)
        simple = right(small, self.images, self.labels)
        small = sc.remove(self.model, made)
        start = time.process_time()
        least_squares_(small, self.model, made, seen, seed=draw)
        spent = time.process_time() - start
        ours = right(small, self.images, self.labels)
        if draw == 0:
            torch.save({"plan": made.to_json(), "state": small.state_dict()}, self.kept(macs))
        costs = self.graph.costs
        return {
            "network": self.name,
            "draw": draw,
            "macs": macs,
            "params": params,
            "macs_cut": 100 * (1 - made.predicted["macs"] / costs.macs()),
            "params_cut": 100 * (1 - made.predicted["params"] / costs.params()),
            "proof": proof.max_rel_diff,
            "images": len(self.labels),
            "whole": 100 * float(self.whole.mean()),
            "plain": 100 * float(plain.mean()),
            "grail": 100 * float(simple.mean()),
            "repaired": 100 * float(ours.mean()),
            "lost": int((self.whole & ~ours).sum()),
            "won": int((~self.whole & ours).sum()),
            "survey_seconds": round(self.spent, 1),
            "repair_seconds": round(spent, 1),
        }

    def kept(self, macs: float) -> Path:
        """Where the network of the first draw waits for its steps."""
        return self.given.keep / f"{self.name}-{macs}.pt"

    def ruled(self, macs: float, params: float | None) -> dict[str, Any]:
        """The same removal by the two-stage rule, on images of the first draw."""
        made = Plan.from_json(torch.load(self.kept(macs), weights_only=True)["plan"])
        (seen,) = joined(self.source.calibration(self.given.calibrate, 0), self.given.calibrate)
        start = time.process_time()
        small = two_stage(self.model, made, seen)
        spent = time.process_time() - start
        ours = right(small, self.images, self.labels)
        return {
            "network": self.name,
            "ruled": True,
            "draw": 0,
            "macs": macs,
            "params": params,
            "accuracy": 100 * float(ours.mean()),
            "seconds": round(spent, 1),
        }

    def stepped(self, macs: float, params: float | None) -> dict[str, Any]:
        """Label-free steps from the repaired network of the first draw, on all training images."""
        if not self.kept(macs).is_file():
            self.cell(0, macs, params)
        found = torch.load(self.kept(macs), weights_only=True)
        made = Plan.from_json(found["plan"])
        small = sc.remove(self.model, made)
        small.load_state_dict(found["state"])
        (seen,) = joined(self.source.train, len(self.source.train))
        start = time.process_time()
        asked = {"epochs": self.given.steps, "augment": Shifts(), "limit": len(seen), **STEPS}
        reconstruct_(small, self.model, made, seen, **asked)
        spent = time.process_time() - start
        ours = right(small, self.images, self.labels)
        return {
            "network": self.name,
            "stepped": self.given.steps,
            "draw": 0,
            "macs": macs,
            "params": params,
            "accuracy": 100 * float(ours.mean()),
            "lost": int((self.whole & ~ours).sum()),
            "won": int((~self.whole & ours).sum()),
            "samples": len(seen),
            **STEPS,
            "seconds": round(spent, 1),
        }


def kind_of(cell: dict[str, Any]) -> str:
    """A draw of a row, or what else was made of the first."""
    return next((kind for kind in ("ruled", "stepped") if kind in cell), "cell")


def made_so(cell: dict[str, Any], given: argparse.Namespace) -> bool:
    """Whether a cell was made with these settings, and need not be made again."""
    return kind_of(cell) != "stepped" or (cell["stepped"] == given.steps and STEPS.items() <= cell.items())


def run(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All cells, those of earlier runs from their file."""
    path = given.keep / "no_finetune.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    known = {(c["network"], c["draw"], c["macs"], c["params"], kind_of(c)) for c in done if made_so(c, given)}
    benches: dict[str, Bench] = {}
    extra = {"ruled": RULED, "stepped": STEPPED if given.steps else ()}
    late = [
        (n, 0, m, p, kind)
        for kind, own in extra.items()
        for n, m, p, *_ in ROWS
        if n in given.only and (n, m) in own
    ]
    for key in [*((*key, "cell") for key in cells(given)), *late]:
        if key in known:
            continue
        name, draw, macs, params, kind = key
        bench = benches[name] = benches.get(name) or Bench(name, given)
        make = {"ruled": bench.ruled, "stepped": bench.stepped}
        done.append(bench.cell(draw, macs, params) if kind == "cell" else make[kind](macs, params))
        print(json.dumps(done[-1]), flush=True)
        with path.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    return done


def line(every: Sequence[dict[str, Any]], asked: Sequence[float | None]) -> str:
    """A row of the table: the draws of one budget, and what else was made of the first."""
    own = [c for c in every if kind_of(c) == "cell"]
    stepped, ruled = ([c for c in every if kind_of(c) == kind] for kind in ("stepped", "ruled"))
    drops = [c["whole"] - c["repaired"] for c in own]
    error = f" ± {statistics.stdev(drops) / len(drops) ** 0.5:.2f}" if len(drops) > 1 else ""
    # McNemar's error of the difference of two counts over the same images.
    paired = [(c["lost"] + c["won"] - (c["lost"] - c["won"]) ** 2 / c["images"]) ** 0.5 for c in own]
    columns = [
        own[0]["network"],
        f"{statistics.fmean(c['macs_cut'] for c in own):.1f} %",
        f"{statistics.fmean(c['params_cut'] for c in own):.1f} %",
        str(len(own)),
        f"{own[0]['whole']:.2f}",
        spread([c["plain"] for c in own]),
        spread([c["grail"] for c in own]),
        *([f"{c['accuracy']:.2f}" for c in ruled] or ["-"]),
        spread([c["repaired"] for c in own]),
        f"{statistics.fmean(drops):.2f}{error}",
        f"{100 * statistics.fmean(p / c['images'] for p, c in zip(paired, own, strict=True)):.2f}",
        said(asked[0]),
        trained(stepped, own[0]["whole"]),
        said(asked[1]),
        f"{statistics.fmean(c['survey_seconds'] for c in own):.0f} + "
        f"{statistics.fmean(c['repair_seconds'] for c in own):.0f}",
    ]
    return "| " + " | ".join(columns) + " |"


def trained(stepped: Sequence[dict[str, Any]], whole: float) -> str:
    """What came of the steps; of more than one training the shortest, and the others by their epochs."""
    found = sorted(stepped, key=lambda cell: cell["stepped"])
    texts = [f"{cell['accuracy']:.2f} ({cell['accuracy'] - whole:+.2f})" for cell in found]
    more = [f"after {cell['stepped']} epochs {text}" for cell, text in zip(found[1:], texts[1:], strict=True)]
    return "; ".join([*texts[:1], *more]) or "-"


def said(asked: float | None) -> str:
    """A number of points, or that there is none."""
    return "-" if asked is None else f"{asked:.2f}"


HEAD = """# Straight out of `prune`: no labels, no retraining

CIFAR-10, % of test images right; nothing was chosen on them. Units by `moments`, allocation by `sensitivity`,
sequential `least-squares` with the layers before refitted too, from unlabelled training images; no gradient step, but
in the column `steps`.
`plain` is the same network before a repair, `GRAIL` the same removal repaired as arXiv 2602.23795 does (channel
moments of the unpruned network, not centred, ridge 1e-3, all readers at once; run here, `benchmarks/grail.py`),
`two-stage` the same removal squeezed and reconstructed by gradient steps on 2,048 images of the first draw as in doi
10.1016/j.eswa.2025.128930 (run here as far as it is published, `benchmarks/two_stage.py`). Mean
and deviation over draws of the calibration images; of the points lost the mean and its standard error over the draws,
and beside it the standard error over test images, paired with the whole network's (McNemar's; the mean of the draws').
`asked` is what we set out to reach. Seconds of the processor, on one thread beside other work: the survey, which
serves all budgets of a draw, and the repair. `steps`: the repaired network of the first draw after label-free gradient
steps (`reconstruct`, {epochs} epochs, batches of {batch}) on {samples:,} training images, a tenth of which
only tells whether they help, shifted and mirrored, without their labels.
"""


def imagenet(found: dict[str, Any]) -> list[str]:
    """MobileNetV2 on the sample of ImageNet."""
    rows = found["rows"]
    scored = sum(row["scored"] for row in rows)
    before, plain, repaired = (
        100 * sum(row[k] for row in rows) / scored for k in ("before", "plain", "repaired")
    )
    steps, how, together = "-", "", "-"
    if all("together" in row for row in rows):
        together = f"{100 * sum(row['together'] for row in rows) / scored:.1f}"
        how += (
            " `together`: repaired without keeping apart, of these few, a fifth that judges the fits: what judges has "
            "then been learnt by the layers before."
        )
    if all("reconstructed" in row for row in rows):
        stepped, begun = (100 * sum(row[k] for row in rows) / scored for k in ("reconstructed", "begun"))
        steps = f"{stepped:.1f} ({stepped - before:+.1f})"
        how += (
            f" `steps`: {rows[0]['epochs']} epochs over crops of nine tenths of the same images, after a repair on "
            f"those, which alone gives {begun:.1f}; both take "
            f"{statistics.fmean(r['stepped_cpu'] for r in rows):.0f} seconds."
        )
    return [
        "",
        "## MobileNetV2 on ImageNet",
        "",
        f"Batch norms folded, the sample images dealt into {len(rows)} halves at random, each scored by the network "
        f"that was calibrated on the other, unlabelled: {scored:,} images, {rows[0]['images']} to calibrate on.{how}",
        "",
        "| MACs cut | parameters cut | whole | plain | together | repaired | lost | asked | steps | asked | seconds of "
        "the processor |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        f"| {100 * rows[0]['macs_cut']:.1f} % | {100 * statistics.fmean(r['params_cut'] for r in rows):.1f} % | "
        f"{before:.1f} | {plain:.1f} | {together} | {repaired:.1f} | {before - repaired:.1f} | 10 | {steps} | 8 | "
        f"{statistics.fmean(r['cpu'] for r in rows):.0f} |",
        "",
        origin(found),
    ]


def page(found: dict[str, Any], other: dict[str, Any] | None = None) -> str:
    """The page of the records."""
    stepped = [c for c in found["cells"] if kind_of(c) == "stepped"]
    epochs = min((c["stepped"] for c in stepped), default=0)
    samples = max((c["samples"] for c in stepped), default=0)
    lines = [
        HEAD.format(epochs=epochs, batch=max((c["batch"] for c in stepped), default=0), samples=samples),
        "| network | MACs cut | parameters cut | draws | whole | plain | GRAIL | two-stage | repaired | lost | paired "
        "| asked | steps | asked | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, macs, params, *asked in sorted(ROWS, key=lambda row: (row[0], -row[1], row[2] or 1)):
        own = [c for c in found["cells"] if (c["network"], c["macs"], c["params"]) == (name, macs, params)]
        if own:
            lines.append(line(own, asked))
    lines += ["", f"{found['calibrate']:,} images a draw. {origin(found)}"]
    return "\n".join([*lines, *([] if other is None else imagenet(other))]) + "\n"


def main() -> int:
    """Measure, keep, render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("cifar10", "models", "keep"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", nargs="*", default=["resnet20", "resnet56"])
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--most", type=int, default=4, help="draws of the longer rows of ResNet-56")
    parser.add_argument("--calibrate", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=5, help="epochs of label-free steps; 0 for none")
    parser.add_argument(
        "--note", default="", help="said beside the table: which cells other commits made, and why"
    )
    parser.add_argument("--test", type=int, help="fewer test images, for a trial")
    parser.add_argument("--render", action="store_true", help="only write the page from the results")
    given = parser.parse_args()
    if not given.render:
        given.keep.mkdir(parents=True, exist_ok=True)
        found = about("python benchmarks/no_finetune.py") | {
            "calibrate": given.calibrate,
            "cells": run(given),
            "note": given.note,
        }
        RECORD.write_text(json.dumps(found, indent=1) + "\n")
    other = json.loads(IMAGENET_RECORD.read_text()) if IMAGENET_RECORD.is_file() else None
    PAGE.write_text(page(json.loads(RECORD.read_text()), other))
    return 0


if __name__ == "__main__":
    sys.exit(main())
