"""Networks, data and cells that the paper files share: a cell is one network, method and seed."""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import Row
from torch import Tensor, nn
from torch.utils.data import Subset

import secateurs as sc
from secateurs import compensate, zoo
from secateurs.data import IMAGENET, resolve_data
from secateurs.data.batches import joined
from secateurs.meters.accuracy import evaluate
from secateurs.recover.recalibrate import recalibrate_

EXAMPLE = torch.zeros(1, 3, 32, 32)


def options(text: str | None) -> argparse.ArgumentParser:
    """The arguments of every paper file."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", help="the folder of the official binary files")
    parser.add_argument("--models", type=Path, help="the folder of resnet20.safetensors, ...")
    parser.add_argument("--audio", type=Path, help="dcase2022_unpruned_and_pruned_folded.safetensors")
    parser.add_argument("--selections", type=Path, help="published_filter_indexes.npz")
    parser.add_argument("--test", type=int, default=2000, help="test images")
    parser.add_argument("--calibrate", type=int, default=256, help="unlabelled training images for repairs")
    parser.add_argument("--draws", type=int, default=20, help="of `random`")
    parser.add_argument("--quick", action="store_true", help="few images, draws and sizes: whether it runs")
    parser.add_argument(
        "--out", type=Path, help="where the JSON goes; docs/results/papers, or with --quick elsewhere"
    )
    return parser


def results_folder(given: argparse.Namespace) -> Path:
    """Where the JSON files go."""
    if given.out is not None:
        return Path(given.out)
    if given.quick:
        return Path(tempfile.gettempdir()) / "secateurs-papers-quick"
    return Path(__file__).resolve().parents[2] / "docs" / "results" / "papers"


def published_form(name: str) -> str:
    """A method's published form where it has one, else the method."""
    try:
        return sc.methods.get(f"{name}:faithful").name
    except sc.InputError:
        return name


@cache
def traced(name: str) -> tuple[Any, int]:
    """The groups of a zoo network with random weights, and the numbers that its fixed front end holds."""
    model = zoo.build(name).eval()
    graph = sc.trace(model, torch.zeros(1, *zoo.entry(name).input_shape))
    return graph, sum(b.numel() for k, b in model.named_buffers() if "extractor" in k)


def costs(name: str, shares: Mapping[str, float]) -> dict[str, float]:
    """Parameters and multiply-adds of a zoo network, whole and with groups cut to shares of their channels.

    The key is a group's name; `front` is what a fixed front end costs, which no cut changes, `mel` its filter bank.
    """
    graph, stored = traced(name)
    sizes = {group.name: group.size for group in graph.groups}
    unknown = set(shares) - set(sizes)
    if unknown:
        raise ValueError(f"{name} has no groups {sorted(unknown)}; it has {sorted(sizes)}")
    keep = np.array([round(size * shares.get(group, 1.0)) for group, size in sizes.items()])
    spent = graph.costs.macs_by_layer()
    fixed, mel = (sum(v for k, v in spent.items() if word in k) for word in ("extractor", "logmel_extractor"))
    found = {
        "params": graph.costs.params(),
        "macs": graph.costs.macs(),
        "front_macs": fixed,
        "mel_macs": mel,
        "front_params": stored,
    }
    return {**found, "params_left": graph.costs.params(keep), "macs_left": graph.costs.macs(keep)}


def cut(whole: float, left: float, beside: float = 0.0) -> float:
    """Per cent that left, of everything with what lies beside it."""
    return 100.0 * (whole - left) / (whole + beside)


@dataclass
class Bench:
    """What is measured on CIFAR-10; cells are made once and shared."""

    given: argparse.Namespace
    made: dict[Any, Any] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether data and networks were named."""
        return bool(self.given.cifar10 and self.given.models)

    @property
    def quick(self) -> bool:
        """Whether only to see that it runs."""
        return bool(self.given.quick)

    @property
    def draws(self) -> int:
        """Of `random`."""
        return 2 if self.quick else self.given.draws

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made under this key, made now where it was not."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def source(self) -> Any:
        """CIFAR-10."""
        return self.once(
            "data", lambda: resolve_data(f"cifar10:{self.given.cifar10}", normalisation=IMAGENET)
        )

    def network(self, name: str) -> nn.Module:
        """A public checkpoint, in evaluation."""
        path = self.given.models / f"{name}.safetensors"
        return self.once(name, lambda: zoo.load_weights(zoo.build(name), path).eval())

    def images(self) -> Tensor:
        """Unlabelled training images."""
        count = 64 if self.quick else self.given.calibrate
        return self.once("images", lambda: joined(self.source().calibration(count), count)[0])

    def labelled(self, count: int) -> Any:
        """Training images with labels that calibration does not see."""
        return self.source().holdout(count, 0)

    def accuracy(self, model: nn.Module) -> float:
        """In per cent of the first test images."""
        count = 200 if self.quick else self.given.test
        return 100 * evaluate(model, Subset(self.source().test, range(count))).value

    def before(self, network: str) -> float:
        """Accuracy of the unpruned network."""
        return self.once((network, "before"), lambda: self.accuracy(self.network(network)))

    def graph(self, network: str) -> Any:
        """Its groups."""
        return self.once((network, "graph"), lambda: sc.trace(self.network(network), EXAMPLE))

    def stream(self, network: str) -> dict[str, float]:
        """The groups that shortcuts couple, which stay whole."""
        return {g.name: 1.0 for g in self.graph(network).free if len(g.slots_as("producer")) > 1}

    def cell(self, network: str, method: Any, seed: int = 0, **more: Any) -> dict[str, Any]:
        """One method at one budget, uniform inside the blocks, before and after repair.

        `more` is what `prune` takes in place of half of the multiply-adds; `stages` what is measured.
        """
        return self.once(
            (network, str(method), seed, str(more)), lambda: self._cell(network, method, seed, **more)
        )

    def _cell(
        self,
        network: str,
        method: Any,
        seed: int,
        stages: tuple[str, ...] = ("recalibrated", "repaired"),
        **more: Any,
    ) -> dict[str, Any]:
        model, images, chosen = self.network(network), self.images(), sc.methods.get(method)
        asked: dict[str, Any] = {
            "macs": 0.5,
            "layers": self.stream(network),
            "seed": seed,
            "round_to": 1,
            **more,
        }
        if chosen.needs == "data":
            asked |= {"data": images, "calibrate": len(images)}
        found = sc.prune(model, EXAMPLE, method=chosen, allocate="uniform", **asked)
        row = {"network": network, "method": chosen.name, "seed": seed, **shares(found)}
        row["plain"] = self.accuracy(found.model)
        for stage in stages:
            small = copy.deepcopy(found.model)
            if stage.startswith("merge"):
                self._repair(network, found, small, "merge")
            if stage == "repaired":
                self._repair(network, found, small, "least-squares")
            elif stage.endswith("recalibrated"):
                recalibrate_(small, images)
            row[stage] = self.accuracy(small)
        print(row, flush=True)
        return row

    def _repair(self, network: str, found: Any, small: nn.Module, how: str) -> None:
        images = self.images()
        removal = compensate.Removal(
            self.network(network), self.graph(network), found.plan, images, len(images)
        )
        compensate.repair_(how, small, removal)

    def field(self, network: str, methods: list[Any], **more: Any) -> list[dict[str, Any]]:
        """Cells of some methods and of the random draws."""
        own = [self.cell(network, method, **more) for method in methods]
        return own + [self.cell(network, "random", seed, **more) for seed in range(self.draws)]


def shares(found: Any) -> dict[str, float]:
    """What a result cut, in per cent."""
    return {
        "macs_cut": cut(found.before.macs, found.after.macs),
        "params_cut": cut(found.before.params, found.after.params),
    }


def seconds_of(work: Callable[[], Any], times: int = 3) -> float:
    """The least processor time of a few runs."""
    found = []
    for _ in range(times):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def layer(reads: int, filters: int) -> Any:
    """The graph of one 3x3 convolution with random weights and a reader."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(reads, filters, 3), nn.ReLU(), nn.Conv2d(filters, 2, 1)).eval()
    return sc.trace(net, torch.zeros(1, reads, 4, 4))


def cost_rows(
    name: str, found: Mapping[str, float], left: int, params: float, macs: float, millions: int
) -> list[Row]:
    """Parameters left, both cuts, and the multiply-adds left in millions."""
    return [
        Row(f"{name}: parameters", left, found["params_left"]),
        Row(f"{name}: parameters cut, %", params, cut(found["params"], found["params_left"]), ".1f"),
        Row(f"{name}: MACs cut, %", macs, cut(found["macs"], found["macs_left"]), ".1f"),
        Row(f"{name}: MACs, millions", millions, found["macs_left"] / 1e6),
    ]
