"""Wang et al., IoT-J 2022: one of each pair of feature maps most alike leaves, without any fine-tuning.

    python benchmarks/papers/wang2022qsfm.py [--cifar10 FOLDER --models FOLDER]

Network: ResNet-56 on CIFAR-10, first convolutions of the blocks. Cut: the shares of the three stages are not published;
those are taken that come nearest to both published cuts.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
from bench import Bench, costs, cut, published_form
from results import NOT_YET, Row, Table, against_random, best_of, cells_table

TITLE = "QSFM: quantified similarity between feature maps (IoT-J 2022)"
MACS, PARAMS, DROP = 48.7, 57.9, 0.54
WIDTHS = (16, 32, 64)
METHODS = ("qsfm-ssim", "qsfm-psnr", "l1-norm")
STAGES = ("plain", "recalibrated", "merge", "merge, recalibrated")


def stage(index: int, share: float) -> dict[str, float]:
    """The first convolutions of one stage's nine blocks, each with a share of its filters."""
    return {f"layer{index + 1}.{block}.conv1": share for block in range(9)}


@cache
def kept() -> tuple[int, int, int]:
    """Filters kept by stage, nearest to both published cuts; of equals the most even shares.

    The cuts are linear in the three counts, as no two of the convolutions touch.
    """
    halves = [costs("resnet56", stage(k, 0.5)) for k in range(3)]
    macs = [2 * cut(h["macs"], h["macs_left"]) for h in halves]
    params = [2 * cut(h["params"], h["params_left"]) for h in halves]

    def error(counts: tuple[int, ...]) -> tuple[float, float]:
        gone = [1 - count / width for count, width in zip(counts, WIDTHS, strict=True)]
        off = abs(float(np.dot(macs, gone)) - MACS) + abs(float(np.dot(params, gone)) - PARAMS)
        return round(off, 1), max(gone) - min(gone)

    first, second, third = min(itertools.product(*(range(1, w + 1) for w in WIDTHS)), key=error)
    return first, second, third


def shares() -> dict[str, float]:
    """The share of every group that stays."""
    found: dict[str, float] = {}
    for k, count in enumerate(kept()):
        found |= stage(k, count / WIDTHS[k])
    return found


def counts() -> list[Row]:
    """The published cuts and the nearest by whole filters."""
    found = costs("resnet56", shares())
    text = (
        f"the stages' shares are not published; {'/'.join(map(str, kept()))} of 16/32/64 filters come nearest"
    )
    return [
        Row("ResNet-56: MACs cut, %", MACS, cut(found["macs"], found["macs_left"]), ".1f", text),
        Row("ResNet-56: parameters cut, %", PARAMS, cut(found["params"], found["params_left"]), ".1f", text),
    ]


def measured(bench: Bench) -> dict[str, Any]:
    """ResNet-56 without training."""
    if not bench.ready:
        return {}
    more = {"macs": 1.0, "layers": {**bench.stream("resnet56"), **shares()}, "stages": STAGES[1:]}
    names = [published_form(name) for name in METHODS]
    cells = [bench.cell("resnet56", name, **more) for name in names]
    draws = min(5, bench.draws)
    cells += [bench.cell("resnet56", "random", seed, **more) for seed in range(draws)]
    cells += [
        bench.cell("resnet56", names[0], **{**more, "stages": ("repaired",)})
        | {"method": f"{names[0]}, again"}
    ]
    return {"cells": cells[:-1], "repaired": cells[-1]["repaired"], "before": bench.before("resnet56")}


def rows(bench: Bench, found: dict[str, Any]) -> list[Row]:
    """All numbers of the paper."""
    drop, reason = None, "needs --cifar10 and --models"
    if found:
        drop = found["before"] - found["cells"][0]["plain"]
        reason = "not reproduced by our reading of the abstract: the paper's details are not published in what we have"
    return [
        *counts(),
        Row("ResNet-56: points of accuracy lost without fine-tuning", DROP, drop, ".2f", reason),
        Row(
            "MobileNetV2 on ImageNet: times faster", 1.53, None, ".2f", "needs the paper's device and its cut"
        ),
        Row("MobileNetV2 on ImageNet: points lost", 1.23, None, ".2f", NOT_YET),
    ]


def tables(found: dict[str, Any]) -> list[Table]:
    """Accuracy."""
    return [cells_table("ResNet-56, the published cut", found["cells"], STAGES)] if found else []


def words(found: dict[str, Any]) -> list[str]:
    """What the figures say of the claims."""
    if not found:
        return ["Not measured: no data were named."]
    cells, before = found["cells"], found["before"]
    names = [cell["method"] for cell in cells if cell["method"].startswith("qsfm")]
    lost = [f"`{n}` loses {before - best_of(cells, [n], 'plain')[1]:.2f} points" for n in names]
    best, value = best_of(cells, names, "merge, recalibrated")
    norm = best_of(cells, ["l1-norm"], "merge, recalibrated")[1]
    word = "above" if value > norm else "not above"
    met = "is met" if min(before - best_of(cells, [n], "plain")[1] for n in names) <= DROP else "is not met"
    return [
        f"Without any step after the cut {' and '.join(lost)} of {before:.2f} %; the published {DROP} points {met}.",
        *(f"`{n}`, plain, lies {against_random(cells, n, 'plain')}." for n in names),
        f"Merged and recalibrated the better one, `{best}` ({value:.2f} %), is {word} `l1-norm` ({norm:.2f} %).",
        f"`least-squares` brings `{names[0]}` to {found['repaired']:.2f} %.",
    ]


if __name__ == "__main__":
    import wang2022qsfm
    from run import alone

    alone(wang2022qsfm)
