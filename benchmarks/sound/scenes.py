"""Acoustic scenes: the DCASE 2022 entry beside its authors' pruned networks, and CP-Mobile, the winner of 2023.

The challenge's data are not here. What is measured is how often a smaller network decides as the unpruned one does, on
seconds of ESC-10 that no step has seen: the fold that is tested. Repairs see unlabelled seconds of the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import secateurs as sc
from secateurs import zoo
from secateurs.audio import FRONTS
from secateurs.export import Int8Options, OnnxNetwork, int8_scorer
from secateurs.targets.budgets import within
from sound.features import esc10, seconds

LAYERS = {"C1": ("C1",), "C2": ("C2",), "C3": ("C3",), "C12": ("C1", "C2"), "C23": ("C2", "C3")}
NETS = {**LAYERS, "C123": ("C1", "C2", "C3")}
WIDTHS = {"C1": (16, 12), "C2": (16, 12), "C3": (32, 22)}
METHODS = ("similarity-nystrom", "moments")
CALIBRATE = 256
MOST_ERROR = 0.1


def decisions(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """The class of each input."""
    with torch.inference_mode():
        return torch.cat([network(part).argmax(1) for part in inputs.split(64)])


def agreement(network: Callable[[Tensor], Tensor], inputs: Tensor, expected: Tensor) -> float:
    """Per cent of inputs decided alike."""
    return 100 * float((decisions(network, inputs) == expected).double().mean())


def stored(path: Path, net: str) -> nn.Module:
    """One of the authors' networks."""
    state = {k.partition("/")[2]: v for k, v in zoo.read_weights(path).items() if k.startswith(f"{net}/")}
    widths = tuple(len(state[f"conv{k}.weight"]) for k in (1, 2, 3))
    model = zoo.build("dcase2022", widths=widths)
    model.load_state_dict(state)
    return model.eval()


def loader(inputs: Tensor, seed: int) -> Any:
    """Unlabelled, in an order of the seed."""
    data = torch.utils.data.TensorDataset(inputs)
    return torch.utils.data.DataLoader(data, 64, shuffle=True, generator=torch.Generator().manual_seed(seed))


def dcase2022(folder: Path, models: Path, keep: Path, fold: int = 1) -> dict[str, Any]:
    """Agreement with the unpruned network of the authors' pruned ones and of ours at the same widths.

    `chance` is how often the most frequent decision is that of the unpruned network.
    """
    data = esc10(folder, seconds(FRONTS["dcase2022"]), keep / "esc10-dcase2022.npy")
    path = models / "dcase2022_unpruned_and_pruned_folded.safetensors"
    train, _, test, _ = data.fold(fold)
    train, test = train.flatten(0, 1), test.flatten(0, 1)
    unpruned = stored(path, "unpruned")
    expected = decisions(unpruned, test)
    rows = []
    for net, layers in NETS.items():
        row: dict[str, Any] = {"net": net, "authors": agreement(stored(path, net), test, expected)}
        for method in METHODS:
            for repair in ("none", "least-squares"):
                result = at_their_widths(unpruned, layers, train, fold, method=method, compensate=repair)
                row[f"{method} {repair}"] = agreement(result.model, test, expected)
                row["params"] = result.after.params
        rows.append(row)
    return {"rows": rows, "chance": most_frequent(expected)}


def at_their_widths(model: nn.Module, layers: Sequence[str], train: Tensor, fold: int, **asked: Any) -> Any:
    """The network with as many filters of some layers as its authors left."""
    kept = {f"conv{k[1]}": WIDTHS[k][1] / WIDTHS[k][0] if k in layers else 1.0 for k in WIDTHS}
    unlabelled = loader(train, fold)
    return sc.prune(model, train[:1], keep=1.0, layers=kept, data=unlabelled, calibrate=CALIBRATE, **asked)


def most_frequent(expected: Tensor) -> float:
    """Per cent of the decision that is made most often."""
    counts = np.bincount(expected.numpy())
    return 100 * float(counts.max() / counts.sum())


def cp_mobile(folder: Path, models: Path, keep: Path, fold: int = 1) -> dict[str, Any]:
    """Whether the winner is a legal entry, and the same at half its multiply-adds, repaired, and in int8.

    Agreement is that with the unpruned network in float.
    """
    data = esc10(folder, seconds(FRONTS["cp_mobile"]), keep / "esc10-cp-mobile.npy")
    train, _, test, _ = data.fold(fold)
    train, test = train.flatten(0, 1), test.flatten(0, 1)
    model = zoo.load_weights(zoo.build("cp_mobile"), models / "cp_mobile_dcase2023.safetensors").eval()
    expected = decisions(model, test)
    asked: dict[str, Any] = {"data": loader(train, fold), "calibrate": CALIBRATE, "round_to": 1}
    found: dict[str, Any] = {"seconds": len(test), "chance": most_frequent(expected)}
    whole = sc.prune(model, train[:1], budget="dcase2025:int8", **asked)
    half = sc.prune(model, train[:1], budget="dcase2025:int8", macs=0.5, **asked)
    bare = sc.prune(
        model, train[:1], budget="dcase2025:int8", macs=0.5, method="moments", allocate="sensitivity", **asked
    )
    for name, result in (("whole", whole), ("half", half), ("half, before repair", bare)):
        row: dict[str, Any] = {
            "params": result.after.params,
            "macs": result.after.macs,
            "agreement": agreement(result.model, test, expected),
            "verdict": within(f"{name}, dcase2025:int8", result.budgets),
            "peak": result.peaks[1] if result.peaks else None,
        }
        if name != "half, before repair":
            path = keep / f"cp-mobile-{name}.int8.onnx"
            for key, most in (("int8", None), ("mixed", MOST_ERROR)):
                path.unlink(missing_ok=True)
                options = Int8Options(samples=128, most_error=most)
                int8_scorer(result.model, train[:1], loader(train, fold), path, options)
                row[f"{key} agreement"] = agreement(OnnxNetwork(path, 1), test, expected)
                row[f"{key} bytes"] = path.stat().st_size
        found[name] = row
    return found
