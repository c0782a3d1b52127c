"""Zhang et al., 2019, and Zhao et al., TCSVT 2023: channels clustered by their batch-norm distributions.

    python benchmarks/papers/zhang2019similarity.py [--cifar10 FOLDER --models FOLDER]

Network: ResNet-20 on CIFAR-10, before any training. Cut: half of the MACs. The papers' own networks are ResNet-50 on
ImageNet and a GAN, after fine-tuning.
"""

from __future__ import annotations

from typing import Any

from bench import Bench
from results import NOT_YET, Row, Table, beside_random, best_of, cells_table

import secateurs as sc

TITLE = "Channel similarity (2019, TCSVT 2023)"
KINDS = ("independent", "wasserstein", "relu", "correlated")
PLAIN = ("bn-scale", "l1-norm")


def offered() -> list[str]:
    """The readings of the distance that can be chosen."""
    found = []
    for kind in KINDS:
        try:
            found.append(sc.methods.get(f"channel-similarity:kind={kind}").name)
        except sc.InputError:
            continue
    return found


def counts() -> list[Row]:
    """None is published for a network that is counted here."""
    return []


def measured(bench: Bench) -> dict[str, Any]:
    """Accuracy on ResNet-20."""
    if not bench.ready:
        return {}
    names = offered()
    cells = bench.field("resnet20", [*names, *PLAIN])
    return {"cells": cells, "names": names, "before": bench.before("resnet20")}


def rows(bench: Bench, found: dict[str, Any]) -> list[Row]:
    """All numbers of the papers."""
    return [
        Row("ResNet-50 on ImageNet: FLOPs cut, above the baseline's accuracy, %", 30, None, ".0f", NOT_YET),
        Row("GAN: times fewer FLOPs", 2, None, ".0f", NOT_YET),
    ]


def tables(found: dict[str, Any]) -> list[Table]:
    """Accuracy."""
    return [cells_table("ResNet-20, half of the MACs", found["cells"])] if found else []


def words(found: dict[str, Any]) -> list[str]:
    """What the figures say of the claims."""
    if not found:
        return ["Not measured: no data were named."]
    cells, names = found["cells"], [c["method"] for c in found["cells"] if c["method"].startswith("channel")]
    said = [beside_random(cells, name, "ResNet-20 at half of the MACs") for name in names]
    own, scale = best_of(cells, names, "repaired"), best_of(cells, PLAIN, "repaired")
    word = "above" if own[1] > scale[1] else "not above"
    said.append(
        f"Magnitudes: repaired, the best reading (`{own[0]}`, {own[1]:.2f} %) is {word} the better of `bn-scale` and "
        f"`l1-norm` (`{scale[0]}`, {scale[1]:.2f} %)."
    )
    return said


if __name__ == "__main__":
    import zhang2019similarity
    from run import alone

    alone(zhang2019similarity)
