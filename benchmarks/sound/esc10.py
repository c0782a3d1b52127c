"""The DCASE 2021 baseline on ESC-10, five folds: trained from scratch, cut by each method, repaired, fine-tuned.

Nothing is chosen on the fold that is tested: epochs and rates are fixed, the last weights count, and features are
normalised by the folds that train. A cell is one fold, method and share; what is done is kept and not done anew.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import secateurs as sc
from secateurs import zoo
from sound.features import dcase_front, esc10

FOLDS = (1, 2, 3, 4, 5)
CUTS = (25, 50, 71)
BARE = (
    "similarity-nystrom", "centrality", "fp-omp", "qsfm-ssim", "channel-similarity", "l1-norm", "random",
    "similarity", "operator-norm", "geometric-median", "geometric-mean", "fp-backward", "lrf", "qsfm-psnr", "hrank",
    "thinet", "bn-scale", "l2-norm", "taylor",
)  # fmt: skip
OURS = "moments"
NEED_DATA = ("qsfm-ssim", "qsfm-psnr", "channel-similarity", "hrank", "thinet", "taylor")
EPOCHS, TUNING, CALIBRATE = 60, 5, 64


@dataclass(frozen=True, eq=False)
class Fold:
    """Normalised inputs and labels of four folds and of the one that is tested."""

    number: int
    train: Tensor
    labels: Tensor
    test: Tensor
    expected: Tensor

    def accuracy(self, model: nn.Module) -> float:
        """In per cent of the clips of the fold that is tested."""
        with torch.inference_mode():
            scores = torch.cat([model.eval()(part) for part in self.test.split(16)])
        return 100 * float((scores.argmax(1) == self.expected).double().mean())


def fold_of(data: Any, number: int) -> Fold:
    """Each bin is brought to mean 0 and deviation 1 of the folds that train."""
    train, labels, test, expected = data.fold(number)
    mean, deviation = train.mean((0, 1, 2, 4), keepdim=True)[0], train.std((0, 1, 2, 4), keepdim=True)[0]
    return Fold(
        number, ((train - mean) / deviation)[:, 0], labels, ((test - mean) / deviation)[:, 0], expected
    )


def train_(model: nn.Module, fold: Fold, epochs: int, rate: float = 1e-3) -> None:
    """Adam in batches of 16, cosine to nothing, each clip rolled in time at random; the last weights count."""
    generator = torch.Generator().manual_seed(fold.number)
    torch.manual_seed(fold.number)
    count = len(fold.train)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (count // 16))
    model.train().to(memory_format=torch.channels_last)
    for _ in range(epochs):
        for chosen in torch.randperm(count, generator=generator)[: count // 16 * 16].view(-1, 16):
            shifts = torch.randint(0, fold.train.shape[-1], (16,), generator=generator).tolist()
            batch = torch.stack([fold.train[k].roll(s, -1) for k, s in zip(chosen, shifts, strict=True)])
            loss = nn.functional.cross_entropy(
                model(batch.to(memory_format=torch.channels_last)), fold.labels[chosen]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval().to(memory_format=torch.contiguous_format)


def trained(fold: Fold, folder: Path) -> nn.Module:
    """The baseline, trained once."""
    path = folder / f"dcase2021-fold{fold.number}.safetensors"
    torch.manual_seed(fold.number)
    model = zoo.build("dcase2021")
    if not path.is_file():
        train_(model, fold, EPOCHS)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    return zoo.load_weights(model, path).eval()


def cut(model: nn.Module, fold: Fold, method: str, per_cent: int, repair: bool) -> Any:
    """A network without so many per cent of its multiply-adds; repairs see `CALIBRATE` unlabelled clips that train."""
    example = fold.train[:1]
    asked: dict[str, Any] = {"macs": 1 - per_cent / 100, "calibrate": CALIBRATE, "round_to": 1}
    if per_cent == max(CUTS):
        asked["params"] = 0.5  # as the papers' claim has it
    labelled = torch.utils.data.TensorDataset(fold.train, fold.labels)
    if method != OURS or not repair:
        asked["method"] = method
    if method == OURS and not repair:
        asked["allocate"] = "sensitivity"
    if repair and method != OURS:
        asked["compensate"] = "least-squares-once"
    if repair or method in NEED_DATA or method == OURS:
        asked["data"] = torch.utils.data.DataLoader(
            labelled, 16, shuffle=True, generator=torch.Generator().manual_seed(fold.number)
        )
    return sc.prune(model, example, seed=fold.number, **asked)


def cells(fold: Fold, whole: float, tune: bool) -> Iterator[dict[str, Any]]:
    """Keys and how each is made: bare and repaired of every method, or fine-tuned."""
    for method in (OURS, *BARE):
        for per_cent in CUTS:
            yield {"fold": fold.number, "method": method, "cut": per_cent, "tuned": tune, "whole": whole}


def made(cell: dict[str, Any], fold: Fold, model: nn.Module) -> dict[str, Any]:
    """A cell with its figures; a method that cannot work here is a cell with the reason."""
    start = time.perf_counter()
    ours = cell["method"] == OURS
    try:
        bare = cut(model, fold, cell["method"], cell["cut"], repair=cell["tuned"] and ours)
        repaired = bare if cell["tuned"] else cut(model, fold, cell["method"], cell["cut"], repair=True)
    except sc.InputError as error:
        return {**cell, "reason": str(error)}
    found = {
        "macs_cut": 100 * (1 - bare.after.macs / bare.before.macs),
        "params_cut": 100 * (1 - bare.after.params / bare.before.params),
        "seconds": round(time.perf_counter() - start, 1),
    }
    if not cell["tuned"]:
        return {**cell, **found, "bare": fold.accuracy(bare.model), "repaired": fold.accuracy(repaired.model)}
    small = copy.deepcopy(bare.model)
    train_(small, fold, TUNING)
    return {**cell, **found, "fine-tuned": fold.accuracy(small)}


def run(folder: Path, keep: Path, tune: bool = True, folds: tuple[int, ...] = FOLDS) -> list[dict[str, Any]]:
    """All cells, those of earlier runs from `keep`."""
    data = esc10(folder, dcase_front(), keep / "esc10-dcase.npy")
    path = keep / "esc10-cells.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    known = {(c["fold"], c["method"], c["cut"], c["tuned"]) for c in done}
    networks = []
    for number in folds:
        fold = fold_of(data, number)
        model = trained(fold, keep)
        networks.append((fold, model, fold.accuracy(model)))
        print(f"fold {number}: {networks[-1][2]:.2f} %", flush=True)
    for late in (False, True) if tune else (False,):
        todo = [(cell, fold, model) for fold, model, whole in networks for cell in cells(fold, whole, late)]
        todo.sort(key=lambda job: (OURS, *BARE).index(job[0]["method"]))
        for cell, fold, model in todo:
            if (cell["fold"], cell["method"], cell["cut"], cell["tuned"]) in known:
                continue
            done.append(made(cell, fold, model))
            print(json.dumps(done[-1]), flush=True)
            with path.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    return done


def summaries(done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the folds of each method and cut: accuracy, and points lost of each fold's own."""
    rows = []
    for method in (OURS, *BARE):
        for per_cent in CUTS:
            own = [c for c in done if (c["method"], c["cut"]) == (method, per_cent) and "reason" not in c]
            row: dict[str, Any] = {"method": method, "cut": per_cent}
            for key in ("macs_cut", "params_cut", "bare", "repaired", "fine-tuned"):
                values = [c[key] for c in own if key in c]
                if key.endswith("cut"):
                    row[key] = statistics.fmean(values) if values else None
                elif len(values) > 1:
                    lost = [c["whole"] - c[key] for c in own if key in c]
                    row[key] = [statistics.fmean(values), statistics.stdev(values), statistics.fmean(lost)]
            rows.append(row)
    return rows
