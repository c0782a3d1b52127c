"""MobileNetV2 on 1,000 sample images of ImageNet, straight after pruning, without labels and without retraining.

    python benchmarks/no_finetune_imagenet.py --images FOLDER --weights mobilenet_v2_100_224_folded.safetensors
        [--macs 0.7] [--rounds 2] [--measured 100] [--half 0 1] [--together] [--reconstruct EPOCHS] [--rate 0.002]
        [--results docs/results/no_finetune_imagenet.json]

FOLDER holds one folder a class. The images are dealt into two halves at random; each half is scored with the network
that was calibrated on the other, so that all images count and none is scored by a network that has seen it. With
--together there is another repair, fitted to the fifth as well that chooses ridges and ends refinements. With
--reconstruct yet another sees nine tenths of a half, and crops of those are trained on. `no_finetune.py --render` shows
the results.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "papers"))

from results import about  # noqa: E402

import secateurs as sc  # noqa: E402
from secateurs.compensate import least_squares_, reconstruct_, walk  # noqa: E402
from secateurs.compensate.reconstruct import trained_on  # noqa: E402
from secateurs.data.augment import Crops  # noqa: E402
from secateurs.data.imagefolder import ImageFiles  # noqa: E402
from secateurs.plans import keep_of  # noqa: E402
from secateurs.survey import survey  # noqa: E402
from secateurs.zoo.mobilenet_v2_folded import CENTRED, mobilenet_v2_folded  # noqa: E402
from secateurs.zoo.weights import load_weights  # noqa: E402

_BATCH = 25


def images_of(folder: Path) -> tuple[Tensor, Tensor]:
    """All images (n, 3, 224, 224) and their labels: the place of their folder in the order of names."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir())
    found = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
    labels = torch.tensor([label for _, label in found])
    files = ImageFiles(tuple(file for file, _ in found), labels.numpy(), (3, 224, 224), CENTRED)
    parts = [files.batch(list(range(i, min(i + 100, len(files)))))[0] for i in range(0, len(files), 100)]
    return torch.cat(parts), labels


@torch.no_grad()
def right(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many images a network gets right."""
    return sum(
        int((model(x).argmax(1) == y).sum()) for x, y in zip(images.split(50), labels.split(50), strict=True)
    )


def half(model: nn.Module, seen: Tensor, scored: tuple[Tensor, Tensor], args: Any) -> dict[str, Any]:
    """Prune and repair on `seen`, count on `scored`."""
    example = torch.zeros(1, 3, 224, 224)
    started, cpu = time.perf_counter(), time.process_time()
    graph = sc.trace(model, example)
    found = survey(model, graph, seen, limit=len(seen), measured=args.measured)
    observed = time.perf_counter() - started
    row: dict[str, Any] = {"survey_seconds": observed}
    made = sc.plan(found.ranking(graph), macs=args.macs, allocate=found.sensitivity(), round_to=1)
    small = sc.remove(model, made)
    proof = sc.verify(model, small, graph.silenced(keep_of(made)), example)
    row.update(
        images=len(seen),
        scored=len(scored[0]),
        macs_cut=1 - made.predicted["macs"] / graph.costs.macs(),
        params_cut=1 - made.predicted["params"] / graph.costs.params(),
        proof=proof.max_rel_diff,
        before=right(model, *scored),
        plain=right(small, *scored),
    )
    print(json.dumps(row), flush=True)
    done = least_squares_(small, model, made, seen, rounds=args.rounds, limit=len(seen))
    row.update(repaired=right(small, *scored), remarks=list(done.remarks))
    row.update(seconds=time.perf_counter() - started, cpu=time.process_time() - cpu, rounds=args.rounds)
    if args.together:
        with mock.patch.object(walk, "_FEW", 0):
            small = sc.remove(model, made)
            least_squares_(small, model, made, seen, rounds=args.rounds, limit=len(seen))
        row.update(together=right(small, *scored))
    if args.reconstruct:
        print(json.dumps(row), flush=True)
        small, cpu = sc.remove(model, made), time.process_time()
        fitted = trained_on(
            len(seen), _BATCH
        )  # the steps are checked on what the least squares have not seen
        least_squares_(small, model, made, seen, rounds=args.rounds, limit=fitted)
        row.update(begun=right(small, *scored))
        settings: dict[str, Any] = {"learning_rate": args.rate, "batch": _BATCH, "augment": Crops()}
        reconstruct_(small, model, made, seen, epochs=args.reconstruct, limit=len(seen), **settings)
        row.update(reconstructed=right(small, *scored), epochs=args.reconstruct, rate=args.rate)
        row.update(stepped_cpu=time.process_time() - cpu)
    row["kept"] = {name: len(units) for name, units in made.kept.items()}
    return row


def main() -> None:
    """Both halves, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--macs", type=float, default=0.7)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measured", type=int, default=100)
    parser.add_argument(
        "--together", action="store_true", help="once more, fitted to what judges the fits as well"
    )
    parser.add_argument("--reconstruct", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--rate", type=float, default=0.002, help="learning rate of the reconstruction")
    parser.add_argument("--half", type=int, nargs="*", default=[0, 1], help="which half to calibrate on")
    parser.add_argument("--results", type=Path, default=None)
    args = parser.parse_args()
    model = mobilenet_v2_folded()
    load_weights(model, args.weights)
    model.eval()
    images, labels = images_of(args.images)
    dealt = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    sides = dealt[: len(dealt) // 2], dealt[len(dealt) // 2 :]
    rows = []
    for seen, scored in [(sides[i], sides[1 - i]) for i in args.half]:
        rows.append(half(model, images[seen], (images[scored], labels[scored]), args))
        print(json.dumps(rows[-1]), flush=True)
        if args.results:
            found = about("python benchmarks/no_finetune_imagenet.py") | {"rows": rows}
            args.results.write_text(json.dumps(found, indent=1) + "\n")
    total = sum(row["scored"] for row in rows)
    for name in ("before", "plain", "together", "repaired", "begun", "reconstructed"):
        if name not in rows[0]:
            continue
        print(f"{name}: {100 * sum(row[name] for row in rows) / total:.1f} % of {total}")


if __name__ == "__main__":
    main()
