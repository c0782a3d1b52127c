"""Purohit et al., AIMLSystems 2022: filters chosen by orthogonal matching pursuit, and the search over layers.

    python benchmarks/papers/purohit2022omp.py [--cifar10 FOLDER --models FOLDER]

Networks: ResNet-32 and -56 in frames of 1x1 convolutions (counts), ResNet-20 on CIFAR-10 (accuracy, untrained).
Cuts: a share p of the outputs and of the inputs of every 3x3 convolution but the first; the search, the same MACs.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
from bench import EXAMPLE, Bench, cut, layer, published_form, seconds_of, shares
from results import NOT_YET, Row, Table, cells_table
from torch import nn

import secateurs as sc
from secateurs import zoo
from secateurs.graph import Tracer
from secateurs.graph.framed import framed, in_frames

TITLE = (
    "Orthogonal matching pursuit, its search, and linearly replaceable filters (AIMLSystems 2022, AAAI 2021)"
)
# What frames leave of the plain network, as the official code of LRF counts: parameters, multiply-adds.
FRAMED = {
    ("resnet32", 0.3): (35.1, 35.9),
    ("resnet32", 0.5): (63.3, 63.1),
    ("resnet32", 0.6): (74.0, 74.8),
    ("resnet32", 0.7): (83.6, 82.9),
    ("resnet56", 0.3): (35.2, 36.2),
    ("resnet56", 0.5): (63.4, 63.5),
    ("resnet56", 0.6): (74.1, 75.1),
    ("resnet56", 0.7): (83.7, 83.3),
}
# LRF: network, p, cut of the multiply-adds and accuracy as third-party tables report them.
REPORTED = (("ResNet-32", "resnet32", 0.5, 62.0, 92.54), ("ResNet-56", "resnet56", 0.6, 73.9, 93.19))
RULES = ("lrf", "fp-omp", "fp-backward")


def in_frame(model: nn.Module) -> Any:
    """The groups of a network in frames."""
    whole, names = in_frames(model, EXAMPLE)
    return framed(Tracer(whole, EXAMPLE).graph(), names)


def uniform(graph: Any, share: float) -> dict[str, float]:
    """The share of every free group that stays where round(p n) of n leave."""
    return {g.name: (g.size - round(share * g.size)) / g.size for g in graph.free}


@cache
def network(name: str) -> tuple[Any, int, int]:
    """Groups in frames, and the plain network's parameters and multiply-adds."""
    model = zoo.build(name).eval()
    plain = sc.trace(model, EXAMPLE).costs
    return in_frame(model), plain.params(), plain.macs()


def framed_cut(name: str, share: float) -> tuple[float, float]:
    """Cuts of parameters and multiply-adds against the plain network, in per cent."""
    graph, params, macs = network(name)
    stays = uniform(graph, share)
    keep = np.array([round(g.size * stays.get(g.name, 1.0)) for g in graph.groups])
    return cut(params, graph.costs.params(keep)), cut(macs, graph.costs.macs(keep))


def counts() -> list[Row]:
    """Cuts in frames; needs no data."""
    rows = []
    for (name, share), (params, macs) in FRAMED.items():
        ours = framed_cut(name, share)
        title = f"{name} in frames, p = {share}"
        rows.append(Row(f"{title}: parameters cut, %", params, ours[0], ".1f"))
        rows.append(Row(f"{title}: MACs cut, %", macs, ours[1], ".1f"))
    for title, name, share, macs, _ in REPORTED:
        reason = f"p is not reported: {share} comes nearest"
        rows.append(Row(f"{title}, LRF: MACs cut, %", macs, framed_cut(name, share)[1], ".1f", reason))
    return rows


def timing(bench: Bench) -> list[dict[str, Any]]:
    """Processor seconds of one selection over all filters of a layer."""
    rows = []
    for filters in (64,) if bench.quick else (64, 128, 256, 512):
        graph = layer(filters, filters)
        spent = {name: seconds_of(lambda graph=graph, name=name: sc.rank(graph, name)) for name in RULES}
        rows.append({"filters": filters, **spent})
    return rows


def in_frames_cells(bench: Bench, share: float) -> list[dict[str, Any]]:
    """ResNet-20 in frames: the rules at a uniform share, the search at the same multiply-adds."""
    model, graph = bench.network("resnet20"), in_frame(bench.network("resnet20"))
    stays = uniform(graph, share)
    keep = np.array([round(g.size * stays.get(g.name, 1.0)) for g in graph.groups])
    macs = graph.costs.macs(keep) / bench.graph("resnet20").costs.macs()
    images = bench.labelled(64 if bench.quick else 128)
    asked: dict[str, Any] = {"frame": True, "compensate": "weights"}
    runs = [(published_form(name), {"macs": 1.0, "layers": stays}) for name in RULES]
    runs += [(sc.methods.get("random"), {"macs": 1.0, "layers": stays})]
    runs += [("fp-omp-search", {"macs": macs, "data": images, "calibrate": 128})]
    cells = []
    for method, more in runs:
        started = time.process_time()
        found = sc.prune(model, EXAMPLE, method=method, **asked, **more)
        spent = time.process_time() - started
        cell = {"network": "resnet20", "method": found.method, "seed": 0, **shares(found), "cpu": spent}
        cells.append(cell | {"plain": bench.accuracy(found.model)})
        print(cells[-1], flush=True)
    return cells


def measured(bench: Bench) -> dict[str, Any]:
    """Times, and accuracy on ResNet-20."""
    found: dict[str, Any] = {"timing": timing(bench)}
    if bench.ready:
        ps = (0.1,) if bench.quick else (0.1, 0.2, 0.3)
        found["frames"] = {str(share): in_frames_cells(bench, share) for share in ps}
        found["cells"] = bench.field("resnet20", [*RULES, "l1-norm"])
        found["before"] = bench.before("resnet20")
    return found


def rows(bench: Bench, found: dict[str, Any]) -> list[Row]:
    """All numbers of the papers."""
    tuned = [Row(f"{title}, LRF: accuracy, %", acc, None, ".2f", NOT_YET) for title, _, _, _, acc in REPORTED]
    gain = Row("FP-OMP Search over LRF after tuning: points, at least", 0.5, None, ".1f", NOT_YET)
    return [*counts(), *tuned, gain]


def tables(found: dict[str, Any]) -> list[Table]:
    """Times and accuracy."""
    lines = [
        [str(r["filters"]), *(f"{r[name]:.4f}" for name in RULES), f"{r['lrf'] / r['fp-omp']:.2f}"]
        for r in found["timing"]
    ]
    made = [
        Table(
            "Processor seconds of a selection, n filters of 9 n weights", ("n", *RULES, "LRF / FP-OMP"), lines
        )
    ]
    for share, cells in found.get("frames", {}).items():
        table = cells_table(f"ResNet-20 in frames, p = {share}, before any tuning", cells, ("plain",))
        seconds = [f"{cell['cpu']:.1f}" for cell in cells]
        lines = [[*row, s] for row, s in zip(table.rows, seconds, strict=True)]
        made.append(Table(table.title, (*table.header, "processor seconds, proof included"), lines))
    if "cells" in found:
        made.append(cells_table("ResNet-20 without frames, half of the MACs", found["cells"]))
    return made


def words(found: dict[str, Any]) -> list[str]:
    """What the figures say of the claims."""
    ratios = [r["lrf"] / r["fp-omp"] for r in found["timing"]]
    faster = sum(ratio > 1 for ratio in ratios)
    said = [
        f"FP-OMP is faster than LRF at {faster} of {len(ratios)} sizes, {min(ratios):.2f} to {max(ratios):.2f} times "
        "(both are one factorisation here; the published codes loop)."
    ]
    for share, cells in found.get("frames", {}).items():
        value = {cell["method"].partition(":")[0]: cell["plain"] for cell in cells}
        over = "above" if value["fp-omp"] > value["lrf"] else "not above"
        best = max(value[name] for name in RULES)
        search = "above" if value["fp-omp-search"] > best else "not above"
        said.append(
            f"In frames at p = {share}, before any tuning, FP-OMP ({value['fp-omp']:.2f} %) is {over} LRF "
            f"({value['lrf']:.2f} %), and the search at the same MACs ({value['fp-omp-search']:.2f} %) is {search} the "
            f"best uniform rule ({best:.2f} %)."
        )
    return said


if __name__ == "__main__":
    import purohit2022omp
    from run import alone

    alone(purohit2022omp)
