"""YAMNet on ESC-10 without any training: fewer multiply-adds, repaired from unlabelled clips of the other folds.

A clip's class is the ESC-10 class with the largest mean score among its AudioSet classes. Each fold is tested with a
network that was repaired on clips of the other four, of which no label is looked at, and no gradient step is made.
"""

from __future__ import annotations

import csv
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import secateurs as sc
from secateurs import zoo
from secateurs.audio import FRONTS
from secateurs.export import Int8Options, OnnxNetwork, export_onnx, quantise_onnx
from sound.features import Esc10, esc10

FOLDS = (1, 2, 3, 4, 5)
CUTS = (30, 50)
# An int8 file may be wrong by so much. Of each network the largest is taken with which so many clips of the other folds
# are decided as in float, but for a share: no label and no clip that is tested has a say. The second rule allows as
# many as points may be lost.
ERRORS = (0.1, 0.05, 0.02, 0.01, 0.005)
RULES = ((100, 0.99), (320, 0.995))


@dataclass(frozen=True, eq=False)
class Classes:
    """AudioSet classes of each ESC-10 class."""

    members: tuple[tuple[int, ...], ...]

    def told(self, network: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
        """The class of every clip, shape (n, windows, 1, 96, 64)."""
        with torch.inference_mode():
            scores = torch.cat([torch.sigmoid(network(clip)).mean(0, keepdim=True) for clip in clips])
        return torch.stack([scores[:, list(own)].max(1).values for own in self.members], 1).argmax(1)

    def right(self, network: Callable[[Tensor], Tensor], clips: Tensor, labels: Tensor) -> int:
        """How many clips are told right."""
        return int((self.told(network, clips) == labels).sum())


def classes_of(table: Path) -> Classes:
    """The members that yamnet_classes.csv names, which numbers ESC-10 as its table does."""
    members: dict[int, list[int]] = {k: [] for k in range(10)}
    with table.open() as file:
        for row in csv.DictReader(file):
            if row["esc10_class_index"]:
                members[int(row["esc10_class_index"])].append(int(row["index"]))
    return Classes(tuple(tuple(members[k]) for k in sorted(members)))


def network_of(path: Path) -> nn.Module:
    """The public weights."""
    return zoo.load_weights(zoo.build("yamnet"), path).eval()


def pruned(model: nn.Module, data: Esc10, fold: int, per_cent: int) -> Any:
    """All defaults but free widths, on unlabelled patches of the other folds."""
    patches = torch.utils.data.TensorDataset(data.fold(fold)[0].flatten(0, 1))
    generator = torch.Generator().manual_seed(fold)
    loader = torch.utils.data.DataLoader(patches, batch_size=64, shuffle=True, generator=generator)
    return sc.prune(model, patches[0][0][None], macs=1 - per_cent / 100, data=loader, round_to=1)


def run(folder: Path, models: Path, keep: Path, folds: tuple[int, ...] = FOLDS) -> list[dict[str, Any]]:
    """Clips told right of each fold, whole and cut; pruned networks stay in `keep`."""
    data = esc10(folder, FRONTS["yamnet"], keep / "esc10-yamnet.npy")
    classes = classes_of(models / "yamnet_classes.csv")
    model = network_of(models / "yamnet_folded.safetensors")
    path = keep / "yamnet-cells.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    for per_cent in CUTS:
        for fold in folds:
            _, _, clips, labels = data.fold(fold)
            if any((c["fold"], c["cut"]) == (fold, per_cent) for c in done):
                continue
            result = pruned(model, data, fold, per_cent)
            sc.save(result, keep / f"yamnet-{per_cent}-fold{fold}.safetensors")
            cell = {
                "fold": fold,
                "cut": per_cent,
                "calibrate": result.config.calibrate,
                "clips": len(labels),
                "whole": classes.right(model, clips, labels),
                "right": classes.right(result.model, clips, labels),
                "macs": [result.before.macs, result.after.macs],
                "params": [result.before.params, result.after.params],
                "proof": result.verification.max_rel_diff,
                "seconds": {k: round(v, 1) for k, v in result.seconds.items()},
            }
            done.append(cell)
            print(json.dumps(cell), flush=True)
            with path.open("a") as file:
                file.write(json.dumps(cell) + "\n")
    return done


def in_int8(folder: Path, models: Path, keep: Path, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Clips told right by int8 files of the pruned networks, calibrated on unlabelled patches of the other folds."""
    data = esc10(folder, FRONTS["yamnet"], keep / "esc10-yamnet.npy")
    classes = classes_of(models / "yamnet_classes.csv")
    original = network_of(models / "yamnet_folded.safetensors")
    rows = []
    for cell, (tried, alike) in itertools.product(done, RULES):
        train, _, clips, labels = data.fold(cell["fold"])
        stored = keep / f"yamnet-{cell['cut']}-fold{cell['fold']}.safetensors"
        model = sc.load(stored, original).eval()
        with tempfile.TemporaryDirectory() as at:
            made, found = _quantised(model, train, cell["fold"], classes, Path(at), tried, alike)
            right = classes.right(OnnxNetwork(made.path, 1), clips, labels)
        sizes = {"bytes": made.int8_bytes, "float bytes": made.float_bytes, "left": len(made.left_float)}
        what = {key: cell[key] for key in ("fold", "cut", "calibrate")}
        rows.append({**what, "float": cell["right"], "int8": right, **found, **sizes})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _quantised(
    model: nn.Module, train: Tensor, fold: int, classes: Classes, at: Path, tried: int, asked: float
) -> tuple[Any, Any]:
    """The file of the largest error with which enough clips are decided as in float, and how many are."""
    generator = torch.Generator().manual_seed(fold)
    patches = train.flatten(0, 1)
    calibration = patches[torch.randperm(len(patches), generator=generator)[:96]]
    clips = train[torch.randperm(len(train), generator=generator)[:tried]]
    wanted = classes.told(model, clips)
    written = export_onnx(model, patches[:1], at / "net.onnx")
    for error in ERRORS:
        options = Int8Options(samples=len(calibration), most_error=error)
        made = quantise_onnx(written.path, calibration, at / f"{error}.int8.onnx", options)
        alike = float((classes.told(OnnxNetwork(made.path, 1), clips) == wanted).double().mean())
        if alike >= asked:
            break
    return made, {"rule": [tried, asked], "most_error": error, "alike": alike}
