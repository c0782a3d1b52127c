"""King, Singh and Plumbley, WASPAA 2023: the most central filters in the graph of cosines leave.

    python benchmarks/papers/king2023centrality.py [--cifar10 FOLDER --models FOLDER]

Networks: the DCASE 2021 baseline and CNN14 (counts), ResNet-20 on CIFAR-10 (accuracy before any training). Cuts: 25, 50
or 75 % of the filters of chosen layers.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from bench import Bench, costs, cut, published_form
from results import NOT_YET, Row, Table, beside_random, best_of, cells_table

TITLE = "Graph centrality (WASPAA 2023)"
NAMES = ("centrality", "centrality-absolute-degree", "centrality-betweenness")
NORMS = ("l1-norm", "geometric-mean", "operator-norm")


@cache
def dcase(layers: tuple[int, ...], share: float) -> dict[str, float]:
    """The DCASE 2021 baseline with a share of the filters of some layers."""
    return costs("dcase2021", {f"conv{k}": share for k in layers})


@cache
def cnn14(first: int, share: float) -> dict[str, float]:
    """CNN14 with a share of the filters of C`first` to C12."""
    layers = [f"conv_block{(k + 1) // 2}.conv{2 - k % 2}" for k in range(first, 13)]
    return costs("cnn14", dict.fromkeys(layers, share))


def counts() -> list[Row]:
    """Parameters and multiply-adds; needs no data."""
    half, quarter, epanns = dcase((1, 2), 0.5), cnn14(6, 0.75), cnn14(7, 0.5)
    # Keras counts the moving statistics of batch norms too: two for each of 16 + 16 + 32 channels, 16 fewer after.
    whole, left = half["params"] + 128, half["params_left"] + 96
    text = "layer set not published: C1 and C2 by half come nearest"
    far = "layer set not published: C6 to C12 come nearest, multiply-adds with the front end"
    return [
        Row("DCASE 2021, C1+C2 by half: MACs cut, %", 71, cut(half["macs"], half["macs_left"]), ".0f", text),
        Row("DCASE 2021, C1+C2 by half: parameters cut, %", 50, cut(whole, left), ".0f", text),
        Row("CNN14, C6 to C12 by a quarter: MACs cut, %", 24, _macs(quarter, True), ".0f", far),
        Row("CNN14, C6 to C12 by a quarter: parameters cut, %", 41, _params(quarter), ".0f", far),
        Row("CNN14 (E-PANNs), C7 to C12 by half: parameters, millions", 24, _stored(epanns) / 1e6),
        Row("CNN14 (E-PANNs), C7 to C12 by half: MACs cut, %", 36, _macs(epanns, True)),
    ]


def _macs(found: dict[str, float], front: bool) -> float:
    """Cut of convolutions and linear layers, with the front end's Fourier transform or without."""
    return cut(found["macs"], found["macs_left"], -found["mel_macs" if front else "front_macs"])


def _params(found: dict[str, float]) -> float:
    return cut(found["params"], found["params_left"])


def _stored(found: dict[str, float]) -> float:
    """Parameters left, with the tables of the front end, as PyTorch counts where they are frozen parameters."""
    return found["params_left"] + found["front_params"]


def ours() -> list[list[str]]:
    """Cuts of every layer set at every share, parameters and multiply-adds."""
    lines = []
    for layers in ((1,), (2,), (3,), (1, 2), (1, 2, 3)):
        found = [dcase(layers, share) for share in (0.75, 0.5, 0.25)]
        text = [f"{_params(f):.1f} / {_macs(f, True):.1f}" for f in found]
        lines.append(["DCASE 2021, " + "+".join(f"C{k}" for k in layers), *text])
    for first in (6, 7, 8):
        found = [cnn14(first, share) for share in (0.75, 0.5, 0.25)]
        lines.append(
            [
                f"CNN14 without front end, C{first} to C12",
                *(f"{_params(f):.1f} / {_macs(f, False):.1f}" for f in found),
            ]
        )
    return lines


def open_rows() -> list[Row]:
    """What the paper reports after fine-tuning."""
    return [
        Row("DCASE 2021, C1+C2 by half: points lost, less than", 2, None, ".0f", NOT_YET),
        Row("CNN14, unpruned: mAP", 0.431, None, ".3f", "needs AudioSet and the checkpoint"),
        Row("CNN14 (E-PANNs), a quarter of C7 to C12: mAP", 0.442, None, ".3f", NOT_YET),
        Row("CNN14 (E-PANNs), half of C7 to C12: mAP", 0.440, None, ".3f", NOT_YET),
        Row("CNN14 (E-PANNs), three quarters of C7 to C12: mAP", 0.420, None, ".3f", NOT_YET),
    ]


def measured(bench: Bench) -> dict[str, Any]:
    """Cuts, and accuracy on ResNet-20."""
    found: dict[str, Any] = {"cuts": ours()}
    if bench.ready:
        # Betweenness needs the extra `graph`.
        names = NAMES if importlib.util.find_spec("igraph") else NAMES[:2]
        methods = [published_form(name) for name in names]
        found["cells"] = bench.field("resnet20", [*methods, published_form("similarity"), *NORMS])
        found["names"], found["before"] = methods, bench.before("resnet20")
    return found


def rows(bench: Bench, found: dict[str, Any]) -> list[Row]:
    """All numbers of the paper."""
    return [*counts(), *open_rows()]


def tables(found: dict[str, Any]) -> list[Table]:
    """Cuts and accuracy."""
    header = ("layers, per cent cut of parameters / MACs", "25 %", "50 %", "75 %")
    made = [Table("Cuts by layer set and share of filters", header, found["cuts"])]
    return [*made, cells_table("ResNet-20, half of the MACs", found["cells"])] if "cells" in found else made


def words(found: dict[str, Any]) -> list[str]:
    """What the figures say of the claims."""
    if "cells" not in found:
        return ["Accuracy is not measured: no data were named."]
    cells = found["cells"]
    said = [beside_random(cells, name, "ResNet-20 at half of the MACs") for name in found["names"]]
    for stage in ("plain", "repaired"):
        own, other = best_of(cells, found["names"], stage), best_of(cells, NORMS, stage)
        word = "above" if own[1] > other[1] else "not above"
        said.append(
            f"{stage.capitalize()}, the best centrality (`{own[0]}`, {own[1]:.2f} %) is {word} the best norm "
            f"(`{other[0]}`, {other[1]:.2f} %)."
        )
    return said


if __name__ == "__main__":
    import king2023centrality
    from run import alone

    alone(king2023centrality)
