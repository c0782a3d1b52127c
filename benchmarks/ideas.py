"""What each idea for a better repair brings: ResNet-20 at half of its multiply-adds, measured without the test set.

    python benchmarks/ideas.py --cifar10 FOLDER --resnet20 FILE --keep FOLDER [--only NAME ...]
    python benchmarks/ideas.py --render

The measure is the squared error of the outputs, centred over the classes, relative to their variance, on 5,000
training images that no calibration sees, and how often the decision is the unpruned network's. The removal is that of
`moments` with the allocation `sensitivity`, from 3,000 unlabelled images, but where the idea is another removal; the
repair is `least_squares_`, but where the idea is another. Ideas that are done stay in FOLDER. Results go to
docs/results/ideas.json, the page to docs/ideas.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "papers")]

from results import about, origin  # noqa: E402

import secateurs as sc  # noqa: E402
import secateurs.compensate.pace as pace  # noqa: E402
import secateurs.compensate.walk as walk  # noqa: E402
from ideas_layers import MACS, branches, ranked, swapped  # noqa: E402
from secateurs.compensate import least_squares_, reconstruct_  # noqa: E402
from secateurs.compensate.reconstruct import _Aims, centred  # noqa: E402
from secateurs.data import resolve_data  # noqa: E402
from secateurs.data.augment import Shifts  # noqa: E402
from secateurs.data.batches import joined  # noqa: E402
from secateurs.data.normalisation import IMAGENET  # noqa: E402
from secateurs.plans import keep_of, plan_from_keep  # noqa: E402
from secateurs.surgery import Plan  # noqa: E402
from secateurs.survey import survey  # noqa: E402
from secateurs.zoo.registry import build  # noqa: E402
from secateurs.zoo.weights import load_weights  # noqa: E402

RECORD = HERE.parent / "docs" / "results" / "ideas.json"
PAGE = HERE.parent / "docs" / "ideas.md"
IMAGES, STEPPED, EPOCHS, BATCH = 3000, 10_000, 3, 50
EXAMPLE = torch.zeros(1, 3, 32, 32)
Made = Callable[["Bench"], nn.Module]


class Bench:
    """The network, its images, and the removal that most ideas share."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.model = load_weights(build("resnet20"), given.resnet20).eval()
        self.source = resolve_data(f"cifar10:{given.cifar10}", normalisation=IMAGENET)
        (self.apart,) = joined(self.source.holdout(given.apart), given.apart)
        self.graph = sc.trace(self.model, EXAMPLE)
        self.wanted = self.scores(self.model)

    @torch.no_grad()
    def scores(self, model: nn.Module) -> Tensor:
        """Outputs of a network on the images apart, centred over the classes."""
        return torch.cat([centred(model(x)) for x in self.apart.split(250)]).double()

    def images(self, count: int = IMAGES, seed: int = 0) -> Tensor:
        """Unlabelled images to calibrate on."""
        (found,) = joined(self.source.calibration(count, seed), count)
        return found

    @cached_property
    def plan(self) -> Plan:
        """The removal."""
        return self.planned(self.images())

    def planned(self, images: Tensor) -> Plan:
        """The removal that a survey of some images asks for."""
        found = survey(self.model, self.graph, images)
        return sc.plan(found.ranking(self.graph), macs=MACS, allocate=found.sensitivity(), round_to=1)

    def repaired(self, plan: Plan | None = None, images: Tensor | None = None) -> nn.Module:
        """The pruned network of a plan, repaired on some images."""
        made = plan or self.plan
        small = sc.remove(self.model, made)
        seen = self.images() if images is None else images
        least_squares_(small, self.model, made, seen, limit=len(seen))
        return small

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """The weights that gradient steps begin from."""
        return self.repaired().state_dict()


def paced(bench: Bench, **changed: Any) -> nn.Module:
    """The repair looking at more, or at less."""
    with mock.patch.dict(pace._PACES, default=replace(pace._PACES["default"], **changed)):
        return bench.repaired()


def few(bench: Bench, together: bool = False) -> nn.Module:
    """The repair on a hundred images, which are few for 64 channels."""
    with mock.patch.object(walk, "_FEW", 0 if together else walk._FEW):
        return bench.repaired(images=bench.images(100))


def half_way(bench: Bench) -> nn.Module:
    """The second half of the way planned by damages of the network that the first half has left, repaired."""
    found = survey(bench.model, bench.graph, bench.images())
    whole = bench.graph.costs.macs()
    first = sc.plan(found.ranking(bench.graph), macs=(1 + MACS) / 2, allocate=found.sensitivity(), round_to=1)
    small = bench.repaired(first)
    graph = sc.trace(small, EXAMPLE)
    again = survey(small, graph, bench.images())
    share = MACS * whole / graph.costs.macs()
    second = sc.plan(again.ranking(graph), macs=share, allocate=again.sensitivity(), round_to=1)
    once, twice = keep_of(first), keep_of(second)
    kept = {
        g.name: once.get(g.name, np.arange(g.size))[twice.get(g.name, slice(None))]
        for g in bench.graph.free
        if g.name in once or g.name in twice
    }
    return bench.repaired(plan_from_keep(bench.graph, kept, "moments", {"macs": MACS}))


def stepped(
    bench: Bench, augment: Callable[[Tensor, torch.Generator], Tensor] | None = None, **settings: Any
) -> nn.Module:
    """Label-free steps from the repaired network."""
    small = sc.remove(bench.model, bench.plan)
    small.load_state_dict(bench.start)
    asked = {"epochs": EPOCHS, "batch": BATCH, "augment": augment or Shifts(), "limit": STEPPED} | settings
    reconstruct_(small, bench.model, bench.plan, bench.images(STEPPED), **asked)
    return small


def mixed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted and mirrored images, each mixed with another by a share uniform on (0, 1)."""
    share = float(torch.rand(1, generator=generator))
    seen = Shifts()(images, generator)
    return share * seen + (1 - share) * seen.flip(0)


@contextmanager
def aims_changed(change: Callable[[_Aims, Any], dict[str, Any]]) -> Iterator[None]:
    """The steps with other aims: what `change` makes of theirs and of all layers that a repair looks at."""
    own = _Aims.of.__func__  # type: ignore[attr-defined]

    def of(cls: type[_Aims], pair: Any, found: Any) -> _Aims:
        aims: _Aims = own(cls, pair, found)
        return replace(aims, **change(aims, found))

    with mock.patch.object(_Aims, "of", classmethod(of)):
        yield


def every_layer(_: _Aims, found: Any) -> dict[str, Any]:
    """What every repaired layer gives, not only the ends of residual blocks."""
    return {"blocks": {stop.block.layer.name: stop for stop in found}}


def divergence(_: _Aims, __: Any, temperature: float = 4.0) -> dict[str, Any]:
    """The Kullback-Leibler divergence at the outputs instead of their squared error."""

    def distance(found: Tensor, wanted: Tensor) -> Tensor:
        logs = [(y / temperature).log_softmax(1) for y in (found, wanted)]
        return temperature**2 / 2 * nn.functional.kl_div(*logs, log_target=True, reduction="batchmean")

    return {"distance": distance}


def aiming(change: Callable[[_Aims, Any], dict[str, Any]]) -> Made:
    """The steps with other aims."""

    def made(bench: Bench) -> nn.Module:
        with aims_changed(change):
            return stepped(bench)

    return made


@dataclass(frozen=True)
class Idea:
    """A line of the page: what is tried, against which line it stands, and how it is made."""

    name: str
    says: str
    make: Made
    beside: str = "base"


IDEAS = (
    Idea("base", "as it is", lambda b: b.repaired()),
    Idea("rounds", "layers before the cut refitted four times instead of two", partial(paced, rounds=4)),
    Idea("once", "refitted once", partial(paced, rounds=1)),
    Idea(
        "half",
        "half of the rows of data (100,000 at least) and of the outputs",
        partial(paced, rows=150, outputs=50, fewest=2e6),
    ),
    Idea("rows", "twice the rows of data, where that is more than 100,000", partial(paced, rows=600)),
    Idea("outputs", "three times the output values in a refinement", partial(paced, outputs=300, fewest=2e7)),
    Idea("images", "10,000 images for the repair", lambda b: b.repaired(images=b.images(10_000))),
    Idea(
        "draw",
        "another 3,000 images for both",
        lambda b: b.repaired(b.planned(b.images(IMAGES, 1)), b.images(IMAGES, 1)),
    ),
    Idea("few", "100 images for the repair, of which a fifth only judges the fits", few),
    Idea("few together", "the same, the fifth fitted to as well", partial(few, together=True), "few"),
    Idea("half-way", "damages measured anew for the second half of the way", half_way),
    Idea(
        "swaps",
        "after the order, removed channels exchanged with kept ones while a layer's error falls",
        swapped,
    ),
    Idea("rank", "no filter removed: every 3x3 layer of a lower rank instead, fitted in turn", ranked),
    Idea("branches", "no filter removed: whole branches become their mean, the least felt first", branches),
    Idea("steps", "gradient steps without labels after it", stepped),
    Idea(
        "batch",
        "the same with batches of 32 and two thirds of the rate",
        partial(stepped, batch=32, learning_rate=0.0064),
        "steps",
    ),
    Idea(
        "rate", "the same with three times the learning rate", partial(stepped, learning_rate=0.03), "steps"
    ),
    Idea(
        "every-layer",
        "the same with the error of every layer in the loss",
        aiming(every_layer),
        "steps",
    ),
    Idea(
        "divergence",
        "the same with Kullback-Leibler at the outputs, T = 4",
        aiming(divergence),
        "steps",
    ),
    Idea("mixed", "the same on mixed images", partial(stepped, augment=mixed), "steps"),
)


def measured(idea: Idea, bench: Bench) -> dict[str, Any]:
    """One idea: error, agreement, cost, time."""
    start = time.process_time()
    small = idea.make(bench)
    spent = time.process_time() - start
    found, wanted = bench.scores(small), bench.wanted
    error = (found - wanted).square().sum() / (wanted - wanted.mean(0)).square().sum()
    cost = sc.trace(small, EXAMPLE).costs.macs()
    return {
        "name": idea.name,
        "error": float(error),
        "agreement": 100 * float((found.argmax(1) == wanted.argmax(1)).double().mean()),
        "macs": cost / bench.graph.costs.macs(),
        "seconds": round(spent, 1),
    }


def run(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All ideas, those of earlier runs from their file."""
    path = given.keep / "ideas.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    bench = Bench(given)
    for idea in IDEAS:
        if idea.name in {each["name"] for each in done} or (given.only and idea.name not in given.only):
            continue
        bench.plan  # noqa: B018 - made outside the clock, as is what the steps begin from
        if idea.name == "steps" or idea.beside == "steps":
            bench.start  # noqa: B018
        done.append(measured(idea, bench))
        print(json.dumps(done[-1]), flush=True)
        with path.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    return done


HEAD = f"""# What ideas for the repair bring

ResNet-20 on CIFAR-10 at half of its multiply-adds, no labels. Error: squared difference of the outputs, centred over
the classes, relative to their variance, on training images that no calibration has seen; agreement: % of them decided
as by the unpruned network. The test images are not looked at here. {IMAGES:,} images for removal and repair; gradient
steps: {EPOCHS} epochs over {STEPPED:,} in batches of {BATCH}, shifted and mirrored. Change: of the error, against the
line named. Two draws of the images differ by as much as the line `draw` says, and less than that is noise. Channels
decayed to nothing before they leave are the column `two-stage` of [no_finetune.md](no_finetune.md). Seconds are those
of the repair, with a survey where the removal is another.

| idea | error | agreement | against | change | MACs that stay | seconds of the processor |
|---|---:|---:|---|---:|---:|---:|"""


def page(found: dict[str, Any]) -> str:
    """The page of the record."""
    known = {each["name"]: each for each in found["ideas"]}
    lines = [HEAD]
    for idea in IDEAS:
        each, other = known.get(idea.name), known.get(idea.beside)
        if each is None or other is None:
            continue
        change = f"`{idea.beside}` | {100 * (each['error'] / other['error'] - 1):+.1f} %"
        lines.append(
            f"| `{idea.name}`: {idea.says} | {each['error']:.4f} | {each['agreement']:.2f} | "
            f"{' | ' if each is other else change} | {100 * each['macs']:.1f} % | {each['seconds']:.0f} |"
        )
    lines += ["", origin(found)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, keep, render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("cifar10", "resnet20", "keep"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", nargs="*", help="these ideas alone")
    parser.add_argument("--apart", type=int, default=5000, help="fewer images to measure on, for a trial")
    parser.add_argument("--note", default="", help="said below: which ideas other commits measured, and why")
    parser.add_argument("--render", action="store_true", help="only write the page from the results")
    given = parser.parse_args()
    if not given.render:
        given.keep.mkdir(parents=True, exist_ok=True)
        found = about("python benchmarks/ideas.py") | {"note": given.note, "ideas": run(given)}
        RECORD.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(page(json.loads(RECORD.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
