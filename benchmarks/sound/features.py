"""ESC-10 as tensors: log-mel bins for the DCASE baseline, patches for YAMNet, seconds for CP-Mobile."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from secateurs.audio import FRONTS, FrontEnd, read_clip
from secateurs.contracts import IntArray


def dcase_front() -> FrontEnd:
    """40 log-mel bins of a clip of 5 s, each 10 ms: the 500 frames that the DCASE 2021 baseline takes of 10 s."""
    made = FRONTS["dcase2021"]
    assert made.spectrum is not None
    spectrum = dataclasses.replace(
        made.spectrum, rate=16_000, window=640, hop=160, transform=1024, high=8000.0
    )
    return FrontEnd(16_000, 80_000, 80_000, spectrum, normalise=True)


def seconds(front: FrontEnd) -> FrontEnd:
    """The same, one second after the other."""
    return dataclasses.replace(front, step=front.samples)


@dataclass(frozen=True, eq=False)
class Esc10:
    """All 400 clips, in the order of the table.

    Attributes:
        inputs: Shape (400, windows, ...).
        labels: Class of each clip, shape (400,).
        folds: Fold of each clip, 1 to 5, shape (400,).
    """

    inputs: Tensor
    labels: Tensor
    folds: IntArray

    def fold(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs and labels of the other folds, then those of one fold."""
        test = torch.from_numpy(self.folds == number)
        return self.inputs[~test], self.labels[~test], self.inputs[test], self.labels[test]


def esc10(folder: Path, front: FrontEnd, keep: Path) -> Esc10:
    """The clips of the official layout; features are kept in a file."""
    with (folder / "meta" / "esc50.csv").open() as file:
        rows = list(csv.DictReader(file))
    targets = sorted({int(row["target"]) for row in rows})
    labels = torch.tensor([targets.index(int(row["target"])) for row in rows])
    folds = np.array([int(row["fold"]) for row in rows])
    if not keep.is_file():
        module = front.module()
        made = []
        for row in rows:
            wave = read_clip(folder / "audio" / row["filename"], front.rate)
            count = front.windows(len(wave))
            cut = torch.stack([wave[k * front.step : k * front.step + front.samples] for k in range(count)])
            made.append(module(cut))
        keep.parent.mkdir(parents=True, exist_ok=True)
        np.save(keep, torch.stack(made).numpy())
    return Esc10(torch.from_numpy(np.load(keep)), labels, folds)
