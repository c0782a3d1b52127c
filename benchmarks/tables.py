"""Training after pruning, on CIFAR-10: what of it two cores can show. Every run is written down when it is done.

    python benchmarks/tables.py --cifar10 FOLDER --resnet20 F --resnet56 F --to DIR [--part starts|distil|board]

`starts`: ResNet-20 at half of the multiply-adds, once from `moments` with its repair and once from plain `l1-norm`,
the same epochs for both. `distil`: ResNet-56 with 48.8 % gone, three epochs over all training images but a tenth,
with the original as teacher, at its end and after every block, without labels (`reconstruct_`). `board`: every method
through one epoch of a few thousand images at one cut, with repair and without, three seeds, scored on half of the
test part. Kill it and call it again: what is done is not done anew, and a training with labels goes on from its last
epoch. Epochs are chosen on a part of the training data. At the end the runs go to docs/results/tables.json, from
which docs/tables.md is rendered; `--render` does that alone. `--train`, `--test`, `--epochs` and `--seeds` make it
small, for a trial.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Subset

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "papers"))

from results import about, origin  # noqa: E402

import secateurs as sc  # noqa: E402
from secateurs.compensate import reconstruct_  # noqa: E402
from secateurs.data import resolve_data  # noqa: E402
from secateurs.data.augment import Shifts  # noqa: E402
from secateurs.data.batches import joined  # noqa: E402
from secateurs.data.normalisation import IMAGENET  # noqa: E402
from secateurs.methods.registry import names  # noqa: E402
from secateurs.recover import tune_  # noqa: E402
from secateurs.tuning import TuneConfig  # noqa: E402
from secateurs.zoo.registry import build  # noqa: E402
from secateurs.zoo.weights import load_weights  # noqa: E402

RECORD = HERE.parent / "docs" / "results" / "tables.json"
PAGE = HERE.parent / "docs" / "tables.md"
EXAMPLE = torch.zeros(1, 3, 32, 32)
TAUGHT: dict[str, Any] = {"batch": 40, "learning_rate": 0.006}
BOARD: dict[str, Any] = {"calibrate": 1024, "effort": "fast"}
PARTS = ("starts", "distil", "board")
TRAIN: dict[str, Any] = {
    "batch": 128,
    "augment": "crop-flip",
    "learning_rate": 0.01,
    "weight_decay": 5e-4,
    "channels_last": True,  # a quarter less time here
}
GPU = """
| network, CIFAR-10 | cut in MACs | base | pruned |
| --- | --- | ---: | ---: |
| ResNet-56 | 2.1 x | | |
| ResNet-56 | 2.55 x | | |
| ResNet-56 | 3.8 x | | |
| ResNet-32 | 62 % | | |
| VGG-16-BN | 65 % | | |
| VGG-16-BN | 79 % | | |
| MobileNetV2 | 30 % | | |
| MobileNetV2 | 50 % | | |

These rows need a GPU for their hundreds of epochs, and stay empty until one has been had.
"""


def runs(part: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The settings of every run of a part."""
    epochs = given.epochs
    if part == "starts":
        strong = {"calibrate": 6000}  # the defaults with data: moments, sensitivity, least-squares
        plain = {"method": "l1-norm"}
        for name, prune, kind, several in (
            ("moments, repaired", strong, "tune", 5),
            ("l1-norm", plain, "tune", 5),
            ("moments, repaired, briefly", strong, "tune", 2),
            ("moments, repaired, taught", strong, "distil", 2),
            ("l1-norm, taught", plain, "distil", 5),
        ):
            yield {
                "part": part,
                "name": name,
                "network": "resnet20",
                "prune": {**prune, "macs": 0.5},
                kind: {**(TRAIN if kind == "tune" else TAUGHT), "epochs": epochs or several},
                "seed": 0,
            }
    elif part == "distil":
        yield {
            "part": part,
            "name": "moments, repaired",
            "network": "resnet56",
            "prune": {"calibrate": 6000, "macs": 0.512},
            "distil": {**TAUGHT, "epochs": epochs or 3},
            "seed": 0,
        }
    else:
        for seed in range(given.seeds):
            for method in methods():
                for repair in ("none", "least-squares"):
                    yield {
                        "part": part,
                        "name": method,
                        "network": "resnet20",
                        "prune": {"method": method, "macs": 0.6, "compensate": repair, **BOARD},
                        "tune": {
                            **TRAIN,
                            "epochs": epochs or 1,
                            "held_out": 0.0,
                        },  # there is nothing to choose
                        "images": given.images,
                        "scored": 5000,
                        "seed": seed,
                    }


def methods() -> tuple[str, ...]:
    """All methods but the other readings of two of them: kinds of centrality, searches the other way round."""
    return tuple(name for name in names() if not name.startswith("centrality-") and not name.endswith("-b"))


def done(run: dict[str, Any], given: argparse.Namespace, data: Any) -> dict[str, Any]:
    """One run: prune, measure, train, measure; from its file where it has one."""
    prune = run["prune"]
    name = f"{run['part']}-{run['name'].replace(', ', '-')}-{prune.get('compensate', 'own')}-{run['seed']}"
    file = given.to / f"{name}.json"
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text())
        if found["run"] == run:
            return found
    model = load_weights(build(run["network"]), getattr(given, run["network"])).eval()
    config = sc.PruneConfig(**prune, seed=run["seed"])
    start = time.perf_counter()
    result = sc.prune(model, EXAMPLE, config=config, data=data.calibration(config.calibrate, run["seed"]))
    pruning = time.perf_counter() - start
    several = given.test or run.get("scored")
    test = Subset(data.test, range(several)) if several else data.test

    def scored(key: str, network: nn.Module) -> float:
        """Methods that look at no data remove the same with every seed."""
        if key not in given.known:
            given.known[key] = sc.evaluate(network, test).value
        return float(given.known[key])

    plain = config.compensate == "none"
    found = {
        "run": run,
        "base": scored(f"{run['network']} {len(test)}", model),
        "pruned": scored(result.plan.to_json() if plain else name, result.model),
        "macs": result.after.macs / result.before.macs,
        "params": result.after.params / result.before.params,
        "samples": len(test),
        "proof": result.verification.max_rel_diff,
    }
    start = time.perf_counter()
    trained = distilled if "distil" in run else tuned
    found |= trained(run, given, data, (model, result), test, given.to / name)
    found["seconds"] = {"prune": pruning, "tune": time.perf_counter() - start}
    file.write_text(json.dumps(found, indent=1))
    return found


def distilled(
    run: dict[str, Any], given: argparse.Namespace, data: Any, made: tuple[nn.Module, Any], test: Any, _: Path
) -> dict[str, Any]:
    """The original as teacher, without labels; a tenth of the training images tells whether it has helped."""
    model, result = made
    count = given.train or len(data.train)
    (images,) = joined(Subset(data.train, range(count)), count)
    reconstruct_(
        result.model,
        model,
        result.plan,
        images,
        augment=Shifts(),
        limit=count,
        seed=run["seed"],
        **run["distil"],
    )
    return {"tuned": sc.evaluate(result.model, test).value}


def tuned(
    run: dict[str, Any],
    given: argparse.Namespace,
    data: Any,
    made: tuple[nn.Module, Any],
    test: Any,
    to: Path,
) -> dict[str, Any]:
    """Training with labels, from its last epoch where one was cut off."""
    _, result = made
    train, apart = data.validation(0.1)
    images = given.train or run.get("images")
    if images:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(run["seed"]))
        train = Subset(train, order[:images].tolist())
    curve_file = to.with_name(f"{to.name}.curve")
    curve = json.loads(curve_file.read_text()) if curve_file.exists() else {}

    def each(epoch: Any) -> None:
        curve[str(epoch.number)] = sc.evaluate(result.model, test).value
        curve_file.write_text(json.dumps(curve))
        print(f"{to.name}: epoch {epoch.number}, loss {epoch.loss:.4f}", flush=True)

    found = tune_(
        result.model,
        train,
        validation=apart if run["tune"].get("held_out", 1) else None,
        config=TuneConfig(**run["tune"], seed=run["seed"]),
        to=to.with_name(f"{to.name}.tuning"),
        each=each,
    )
    return {
        "tuned": curve[str(found.best)],
        "best": found.best,
        "curve": [curve[str(epoch.number)] for epoch in found.epochs],
        "held_out": [epoch.accuracy for epoch in found.epochs],
    }


def record(found: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """All runs, with what made them."""
    trial = " (a trial, on few samples)" if given.train or given.test or given.epochs else ""
    return about(f"python benchmarks/tables.py{trial}") | {"note": given.note, "runs": found}


def page(found: dict[str, Any]) -> str:
    """The page of a record."""
    by_part = {part: [run for run in found["runs"] if run["run"]["part"] == part] for part in PARTS}
    lines = [
        "# Training after pruning",
        "",
        "CIFAR-10. Accuracies are of the test part, on which nothing is chosen: of five epochs the one that is kept is",
        "the best on a tenth of the training part, elsewhere it is the last. Base and pruned accuracy are measured by",
        "the same code.",
        "",
        origin(found),
        *_starts(by_part["starts"]),
        *_distil(by_part["distil"]),
        *_board(by_part["board"]),
        "",
        "## On a GPU",
        GPU,
    ]
    return "\n".join(lines)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _starts(every: list[dict[str, Any]]) -> list[str]:
    several = [run for run in every if "curve" in run]
    if not several:
        return []
    epochs = len(several[0]["curve"])
    lines = [
        "",
        "## The same epochs from two beginnings",
        "",
        f"ResNet-20 (base {_percent(several[0]['base'])} %), the same settings and seed, learning rates along a cosine "
        f"that ends with the last epoch; % of {several[0]['samples']:,} test images right.",
        "",
        "| beginning | MACs that stay | pruned | "
        + " | ".join(f"epoch {k}" for k in range(1, epochs + 1))
        + " | kept |",
        "| --- | ---: | ---: |" + " ---: |" * (epochs + 1),
    ]
    for run in several:
        cells = " | ".join([*map(_percent, run["curve"]), *["-"] * (epochs - len(run["curve"]))])
        lines.append(
            f"| {run['run']['name']} | {100 * run['macs']:.1f} % | {_percent(run['pruned'])} | {cells} | "
            f"{_percent(run['tuned'])} |"
        )
    aim = several[1]["curve"][-1] if len(several) > 1 else None
    for run in (several[0], *several[2:]) if aim is not None else ():
        own = len(run["curve"])
        reached = next((k for k, value in enumerate([run["pruned"], *run["curve"]]) if value >= aim), None)
        words = "do not reach" if reached is None else "reach"
        when = "" if reached is None else f", after {reached}"
        lines += [
            "",
            f"{own} epochs from `moments` {words} what {epochs} from `l1-norm` end in, {_percent(aim)} %{when}.",
        ]
    return [*lines, *_taught([run for run in every if "curve" not in run])]


def _taught(several: list[dict[str, Any]]) -> list[str]:
    """The two beginnings with the original as teacher."""
    if not several:
        return []
    lines = [
        "",
        "With the original as teacher, at its end and after every block, without labels, in batches of "
        f"{several[0]['run']['distil']['batch']} of nine tenths of the training images:",
        "",
        "| beginning | MACs that stay | pruned | epochs | trained |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for run in several:
        name, epochs = run["run"]["name"].removesuffix(", taught"), run["run"]["distil"]["epochs"]
        pruned, trained = _percent(run["pruned"]), _percent(run["tuned"])
        lines.append(f"| {name} | {100 * run['macs']:.1f} % | {pruned} | {epochs} | {trained} |")
    if len(several) > 1:
        own, other = several[:2]
        reach = "reach" if own["tuned"] >= other["tuned"] else "do not reach"
        epochs, more = (run["run"]["distil"]["epochs"] for run in (own, other))
        first, second = (run["run"]["name"].split(",")[0] for run in (own, other))
        lines += ["", f"{epochs} epochs from `{first}` {reach} what {more} from `{second}` end in."]
    return lines


def _distil(several: list[dict[str, Any]]) -> list[str]:
    lines = []
    for run in several:
        lines += [
            "",
            "## A few epochs with the original as teacher",
            "",
            f"ResNet-56, {100 * (1 - run['macs']):.1f} % of the MACs gone, {run['run']['distil']['epochs']} epochs "
            f"over nine tenths of the training images without their labels, in batches of "
            f"{run['run']['distil']['batch']} (the last tenth tells whether it has helped); % of {run['samples']:,} "
            "test images.",
            "",
            "| base | pruned and repaired | trained | change |",
            "| ---: | ---: | ---: | ---: |",
            f"| {_percent(run['base'])} | {_percent(run['pruned'])} | {_percent(run['tuned'])} | "
            f"{100 * (run['tuned'] - run['base']):+.2f} |",
        ]
    return lines


def _board(several: list[dict[str, Any]]) -> list[str]:
    if not several:
        return []
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in several:
        cells.setdefault((run["run"]["name"], run["run"]["prune"]["compensate"]), []).append(run)
    first = several[0]
    lines = [
        "",
        "## Every method through one epoch",
        "",
        f"ResNet-20 (base {_percent(first['base'])} %) at {100 * first['run']['prune']['macs']:g} % of the MACs, "
        f"{len(first['curve'])} epoch of {first['run']['images']:,} training images, repaired from "
        f"{BOARD['calibrate']:,} without labels, mean and deviation over seeds; % of {first['samples']:,} test "
        "images. What leaves is shared out uniformly, but by the three searches.",
        "",
        "| method | repair | seeds | pruned | trained |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    order = sorted(cells, key=lambda key: -statistics.mean(run["tuned"] for run in cells[key]))
    for key in order:
        columns = []
        for what in ("pruned", "tuned"):
            values = [run[what] for run in cells[key]]
            spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
            columns.append(f"{_percent(statistics.mean(values))}{spread}")
        lines.append(f"| {key[0]} | {key[1]} | {len(cells[key])} | {columns[0]} | {columns[1]} |")
    return lines


def main() -> None:
    """Run what is left, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("cifar10", "resnet20", "resnet56"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--part", choices=PARTS, action="append")
    for name in ("train", "test", "epochs"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=3000, help="training images in the epoch of `board`")
    parser.add_argument("--methods", type=lambda text: text.split(","))
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument(
        "--note", default="", help="said beside the tables: which runs other commits made, and why"
    )
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    if not given.render:
        given.to.mkdir(parents=True, exist_ok=True)
        given.known = {}
        data = resolve_data(f"cifar10:{given.cifar10}", normalisation=IMAGENET)
        every = [run for part in given.part or PARTS for run in runs(part, given)]
        if given.methods:
            every = [run for run in every if run["part"] != "board" or run["name"] in given.methods]
        made = [done(run, given, data) for run in every]
        known = json.loads(given.record.read_text())["runs"] if given.record.exists() else []
        parts = set(given.part or PARTS)
        others = [run for run in known if run["run"]["part"] not in parts]
        given.record.write_text(json.dumps(record([*others, *made], given), indent=1) + "\n")
    given.page.write_text(page(json.loads(given.record.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
