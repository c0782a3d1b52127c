"""The whole-network search beside the authors' way, and the searches' networks beside uniform ones.

    python benchmarks/search.py --cifar10 PATH --weights DIR [--part same|large|accuracy] [--images 128] [--test 2000]

`same`: ResNet-20, where the plain search is affordable: every candidate cut, repaired and run on all images at every
step; beside it ours on the same images. `large`: ResNet-56 in frames to half of its multiply-adds; the plain way's
passes are counted (one for each candidate and step) and its time follows from one pass timed in the same run.
`accuracy`: FP-OMP, LRF and the searches before any fine-tuning, in frames; methods with `:faithful` are the published
procedure whole, in one call of `prune`; `--no-searches` leaves the searches out. Scores are made on training images
that nothing else looks at; accuracy is of the first `--test` test images. Wall time suffers from what else the machine
does, so the processor's time is printed too.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Subset

import secateurs as sc
from secateurs.allocate import Search
from secateurs.allocate.scoring import Rebuilt, Replayed, Scores, combination_for, samples
from secateurs.compensate.combination import Combination, combine_
from secateurs.data import resolve_data
from secateurs.graph import Graph, Tracer
from secateurs.graph.framed import framed, in_frames
from secateurs.layers.frame import fold_frames
from secateurs.meters.accuracy import evaluate
from secateurs.methods import Method
from secateurs.plans import keep_of, plan_from_counts
from secateurs.targets import Attempt
from secateurs.zoo.resnet_cifar import resnet_cifar

EXAMPLE = torch.zeros(1, 3, 32, 32)


@dataclass(frozen=True)
class Bench:
    """What all parts share."""

    weights: Path
    data: Any
    images: int
    test: int

    def model(self, depth: int) -> nn.Module:
        """A public checkpoint."""
        net = resnet_cifar(depth)
        state = load_file(str(self.weights / f"resnet{depth}.safetensors"))
        net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
        return net.eval()

    def accuracy(self, model: nn.Module) -> float:
        """In percent."""
        return 100 * evaluate(model, Subset(self.data.test, range(self.test))).value


class Timer:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self.wall, self.own = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self.wall:.1f} s ({time.process_time() - self.own:.1f} s processor)"


def graph_of(model: nn.Module, frame: bool) -> Graph:
    """With or without frames."""
    if not frame:
        return sc.trace(model, EXAMPLE)
    whole, names = in_frames(model, EXAMPLE)
    return framed(Tracer(whole, EXAMPLE).graph(), names)


def cut(model: nn.Module, graph: Graph, plan: sc.Plan, combination: Combination | None = None) -> nn.Module:
    """Remove, stand in, fold."""
    small = sc.remove(model, plan.cuts())
    combine_(small, graph, keep_of(plan), combination)
    return fold_frames(small, plan.folds)


def searched(
    bench: Bench,
    graph: Graph,
    method: Method,
    macs: float,
    scores: Scores | None = None,
    **more: Any,
) -> tuple[Any, sc.Plan]:
    """One search to a share of the multiply-adds, and the plan it gives."""
    settings = {**(method.search or {}), "images": bench.images, **more}
    search = Search(**settings, data=bench.data.holdout(bench.images, 0))
    ranking = sc.rank(graph, method)
    limit = macs * graph.costs.macs()
    found = search.until(lambda counts: graph.costs.macs(counts) <= limit).find(ranking, scores)
    attempt = Attempt(ranking, lambda _: found.sequence, searches=[found])
    return found, attempt.plan(sc.targets.macs(macs).counts(attempt), {"macs": macs})


def same(bench: Bench, frame: bool, macs: float) -> None:
    """ResNet-20: the plain search and ours."""
    model = bench.model(20)
    graph = graph_of(model, frame)
    chunks, labels, _ = samples(bench.data.holdout(bench.images, 0), bench.images)
    method = sc.methods.fp_omp_search()
    for name, lazy, make in (("plain", False, Rebuilt), ("ours", True, Replayed)):
        timer = Timer()
        scores: Scores = make(graph, chunks, labels, "divergence")
        found, plan = searched(bench, graph, method, macs, scores, lazy=lazy)
        took = str(timer)
        print(
            f"| ResNet-20, {'frames' if frame else 'no frames'}, {macs:.0%} | {name} | {len(found.errors)} | "
            f"{found.trials} | {found.passes:.1f} | {took} | {found.errors[-1]:.3f} | "
            f"{bench.accuracy(cut(model, graph, plan)):.2f} |",
            flush=True,
        )


def large(bench: Bench, method: Method, macs: float) -> None:
    """ResNet-56 in frames."""
    model = bench.model(56)
    graph = graph_of(model, True)
    chunks = samples(bench.data.holdout(bench.images, 0), bench.images).chunks
    with torch.no_grad():
        model(chunks[0][0])
        timer = time.process_time()
        for (x,) in chunks:
            model(x)
        one = time.process_time() - timer
    timer_ = Timer()
    found, plan = searched(bench, graph, method, macs)
    took = str(timer_)
    print(
        f"| {method.name} | {len(found.errors)} | {found.plain} | {found.plain * one / 3600:.1f} h | {found.trials} | "
        f"{found.passes:.0f} | {took} | {found.plain / found.passes:.0f} x | {found.errors[-1]:.3f} | "
        f"{bench.accuracy(cut(model, graph, plan)):.2f} |",
        flush=True,
    )


def accuracy(bench: Bench, depth: int, share: float, searches: bool) -> None:
    """FP-OMP, FP-Backward, LRF and the searches in frames, at the multiply-adds of the uniform share."""
    model = bench.model(depth)
    graph = graph_of(model, True)
    sizes = graph.costs.sizes
    free = np.array([group.locked is None for group in graph.groups])
    counts = np.where(free, sizes - np.round(share * sizes).astype(np.int64), sizes)
    macs = graph.costs.macs(counts) / graph.costs.macs()
    for method in (sc.methods.fp_omp(), sc.methods.fp_backward(), sc.methods.lrf()):
        timer = Timer()
        plan = plan_from_counts(sc.rank(graph, method), counts, {})
        small = cut(model, graph, plan)
        print(_row(depth, share, macs, method.name, str(timer), bench.accuracy(small)), flush=True)
    for name in ("fp-omp:faithful", "fp-backward:faithful", "lrf:faithful"):
        timer = Timer()
        done = sc.prune(model, EXAMPLE, method=name, keep=1 - share)
        left = done.after.macs / done.before.macs
        print(_row(depth, share, left, name, str(timer), bench.accuracy(done.model)), flush=True)
    for method in (sc.methods.fp_omp_search(), sc.methods.hbgs(), sc.methods.hbgts()) if searches else ():
        timer = Timer()
        _, plan = searched(bench, graph, method, macs)
        small = cut(model, graph, plan)
        print(_row(depth, share, macs, method.name, str(timer), bench.accuracy(small)), flush=True)
    for name in ("fp-omp-search:faithful", "hbgs:faithful", "hbgts:faithful") if searches else ():
        timer = Timer()
        held = bench.data.holdout(bench.images, 0)
        done = sc.prune(model, EXAMPLE, method=name, macs=macs, data=held, calibrate=bench.images)
        left = done.after.macs / done.before.macs
        print(_row(depth, share, left, name, str(timer), bench.accuracy(done.model)), flush=True)
    if searches:
        timer = Timer()
        _, plan = searched(bench, graph, sc.methods.fp_omp_search(), macs, repair="maps")
        chunks = samples(bench.data.holdout(bench.images, 0), bench.images).chunks
        small = cut(model, graph, plan, combination_for(graph, chunks, "maps"))
        name = "fp-omp-search, stand-ins by maps"
        print(_row(depth, share, macs, name, str(timer), bench.accuracy(small)), flush=True)


def _row(depth: int, share: float, macs: float, name: str, took: str, value: float) -> str:
    return f"| ResNet-{depth} | {share} | {macs:.1%} | {name} | {took} | {value:.2f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cifar10", required=True)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--part", choices=["same", "large", "accuracy"], action="append")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--macs", type=float, default=0.5)
    parser.add_argument("--method", action="append", help="of part large; fp-omp-search by default")
    parser.add_argument("--depth", type=int, default=56, help="of part accuracy")
    parser.add_argument(
        "--share", type=float, action="append", help="of part accuracy; 0.3 and 0.5 by default"
    )
    parser.add_argument("--no-searches", action="store_true", help="of part accuracy")
    given = parser.parse_args()
    data = resolve_data(f"cifar10:{given.cifar10}")
    bench = Bench(given.weights, data, given.images, given.test)
    parts = given.part or ["same", "large", "accuracy"]
    print(f"{torch.get_num_threads()} threads, {given.images} images, accuracy of {given.test} test images\n")
    if "same" in parts:
        print("| network | search | steps | candidates | passes | time | divergence | accuracy % |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        same(bench, frame=False, macs=0.7)
        same(bench, frame=True, macs=0.9)
    if "large" in parts:
        print(
            "\n| search | steps | plain passes | plain time | candidates | passes | time | fewer | error | accuracy % |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for name in given.method or ["fp-omp-search"]:
            large(bench, sc.methods.get(name), given.macs)
    if "accuracy" in parts:
        print("\n| network | p | MACs left | method | time | accuracy % |")
        print("| --- | --- | --- | --- | --- | --- |")
        for share in given.share or [0.3, 0.5]:
            accuracy(bench, given.depth, share, not given.no_searches)


if __name__ == "__main__":
    main()
