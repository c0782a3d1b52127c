"""Singh and Plumbley, ICASSP 2023, and the Interspeech 2022 paper before it: similarity, and by Nyström columns.

    python benchmarks/papers/singh2023nystrom.py [--cifar10 FOLDER --models FOLDER] [--audio FILE --selections FILE]

Networks: the DCASE 2021 and 2022 audio networks and VGGish (counts, published selections), ResNet-20 on CIFAR-10
(accuracy before any training). Cuts: one of each pair of closest filters, as many as the rule takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from bench import Bench, cost_rows, costs, cut, layer, published_form, seconds_of
from results import NOT_YET, Row, Table, beside_random, best_of, cells_table

import secateurs as sc
from secateurs import zoo

TITLE = "Similarity-based pruning and its Nyström approximation (Interspeech 2022, ICASSP 2023)"
KEPT = {"C1": 11, "C2": 11, "C3": 22}
WIDTHS = {"C1": 16, "C2": 16, "C3": 32}
# Interspeech 2022: pruned layers, parameters as Keras counts them, accuracy after fine-tuning; the multiply-adds are
# counted with the next layer's inputs, as the plot scripts' own numbers are not.
INTERSPEECH = (
    ("C1", 42_056, 29.1, 48.06),
    ("C2", 34_461, 29.5, 46.54),
    ("C3", 36_356, 2.2, 46.67),
    ("C1+C2", 31_496, 50.1, 46.41),
    ("C2+C3", 27_021, 31.0, 44.96),
    ("C1+C2+C3", 24_056, 51.6, 44.32),
)
VGGISH = {0: (64, 51), 3: (128, 101), 6: (256, 215), 8: (256, 204), 11: (512, 404), 13: (512, 402)}
LAYERS = ((1, 64), (64, 128), (128, 256), (256, 256), (256, 512), (512, 512))
NORMS = ("l1-norm", "geometric-mean", "geometric-median")
OTHERS = ("similarity", "similarity-nystrom")


def keras_params(left: float, layers: str, kept: dict[str, float]) -> float:
    """Parameters with the moving statistics of batch norms, two for each channel left."""
    return left + 2 * sum(WIDTHS[k] * (kept.get(k, 1.0) if k in layers else 1.0) for k in WIDTHS)


def counts() -> list[Row]:
    """Parameters and multiply-adds of the published widths; needs no data."""
    rows = []
    for layers, params, macs, _ in INTERSPEECH:
        kept = {k: KEPT[k] / WIDTHS[k] for k in layers.split("+")}
        found = costs("dcase2021", {f"conv{k[1]}": share for k, share in kept.items()})
        rows.append(
            Row(f"DCASE 2021, {layers}: parameters", params, keras_params(found["params_left"], layers, kept))
        )
        rows.append(
            Row(f"DCASE 2021, {layers}: MACs cut, %", macs, cut(found["macs"], found["macs_left"]), ".1f")
        )
    shares = {f"features.{k}": kept / size for k, (size, kept) in VGGISH.items()}
    return rows + cost_rows("VGGish", costs("vggish", shares), 42_889_796, 22.5, 34.8, 552)


def open_rows() -> list[Row]:
    """What the papers report after fine-tuning."""
    rows = [
        Row("DCASE 2021, unpruned: accuracy, %", 48.58, None, ".2f", "needs the task's audio and the weights")
    ]
    rows += [Row(f"DCASE 2021, {k}: accuracy, %", a, None, ".2f", NOT_YET) for k, _, _, a in INTERSPEECH]
    return [
        *rows,
        Row("VGGish, unpruned: accuracy, %", 64.69, None, ".2f", "needs the task's audio and the weights"),
    ]


def kept_by(graph: Any, method: str) -> dict[str, list[int]]:
    """The filters of every group that a method with a ratio of its own keeps."""
    orders = sc.rank(graph, method).orders
    return {name: sorted(order.units[order.own :]) for name, order in orders.items()}


def selections(bench: Bench) -> list[Row]:
    """The published selections on the DCASE 2022 network, where its weights are at hand."""
    missing = "needs --audio and --selections"
    if not (bench.given.audio and bench.given.selections):
        return [
            Row(f"DCASE 2022, C{k}: filters as published", n, None, reason=missing)
            for k, n in ((1, 12), (2, 12))
        ]
    model = dcase2022(bench.given.audio)
    example, published = torch.zeros(1, 1, 40, 51), np.load(bench.given.selections)
    kept = kept_by(sc.trace(model, example), published_form("similarity"))
    rows = []
    for k in (1, 2, 3):
        theirs = set(published[f"dcase2022_recovered.C{k}"].tolist())
        reason = (
            f"{len(kept[f'conv{k}'])} stay here too; on these weights the rule as a plain loop keeps ours"
        )
        same = len(theirs & set(kept[f"conv{k}"]))
        rows.append(Row(f"DCASE 2022, C{k}: filters as published", len(theirs), same, reason=reason))
    method = published_form("similarity")
    found = sc.prune(model, example, method=method)
    return [*rows, Row("DCASE 2022, C1+C2+C3: parameters", 9_336, found.after.params)]


def dcase2022(path: Any) -> Any:
    """The unpruned network of the file."""
    state = {
        k.removeprefix("unpruned/"): v for k, v in zoo.read_weights(path).items() if k.startswith("unpruned/")
    }
    model = zoo.build("dcase2022")
    model.load_state_dict(state)
    return model.eval()


def timing(bench: Bench) -> dict[str, Any]:
    """Selections by the full matrix and by columns: filters of nine taps by number, and the layers of VGGish."""
    sizes = (64, 128) if bench.quick else (64, 128, 256, 512, 1024, 2048, 4096)
    rows = []
    for reads, filters in [*((16, n) for n in sizes), *(LAYERS[:2] if bench.quick else LAYERS)]:
        graph = layer(reads, filters)
        full, columns = (kept_by(graph, method)["0"] for method in OTHERS)
        spent = [seconds_of(lambda graph=graph, m=method: sc.rank(graph, m)) for method in OTHERS]
        rows.append(
            {
                "reads": reads,
                "filters": filters,
                "full": spent[0],
                "nystrom": spent[1],
                "same": full == columns,
            }
        )
    return {"by_size": rows[: len(sizes)], "vggish": rows[len(sizes) :]}


def measured(bench: Bench) -> dict[str, Any]:
    """Times, and accuracy on ResNet-20."""
    found: dict[str, Any] = {"timing": timing(bench)}
    if bench.ready:
        methods = [published_form(name) for name in OTHERS]
        found["own_ratio"] = [bench.cell("resnet20", name, macs=None) for name in methods]
        found["half"] = bench.field("resnet20", [*methods, *NORMS])
        found["before"] = bench.before("resnet20")
    return found


def rows(bench: Bench, found: dict[str, Any]) -> list[Row]:
    """All numbers of the papers."""
    spent = found["timing"]["vggish"]
    ratio = sum(r["full"] for r in spent) / sum(r["nystrom"] for r in spent)
    reason = "the full matrix is one product here, where the published code loops over pairs"
    times = Row("VGGish, six layers: time of full over Nyström", 2.97, ratio, ".2f", reason)
    return [*counts(), *selections(bench), times, *open_rows()]


def tables(found: dict[str, Any]) -> list[Table]:
    """Times by size, and accuracy."""
    header = ("filters read", "filters", "full, s", "Nyström, s", "full / Nyström", "same filters stay")
    lines = [
        [
            str(r["reads"]),
            str(r["filters"]),
            f"{r['full']:.4f}",
            f"{r['nystrom']:.4f}",
            f"{r['full'] / r['nystrom']:.2f}",
            "yes" if r["same"] else "no",
        ]
        for r in [*found["timing"]["by_size"], *found["timing"]["vggish"]]
    ]
    made = [Table("Processor seconds of a selection, random weights", header, lines)]
    if "half" in found:
        made.append(cells_table("ResNet-20, as many as the rule takes", found["own_ratio"]))
        made.append(cells_table("ResNet-20, half of the MACs", found["half"]))
    return made


def words(found: dict[str, Any]) -> list[str]:
    """What the figures say of the claims."""
    timed = found["timing"]["by_size"]
    same = sum(r["same"] for r in [*timed, *found["timing"]["vggish"]])
    total = len(timed) + len(found["timing"]["vggish"])
    faster = [r["filters"] for k, r in enumerate(timed) if all(s["nystrom"] < s["full"] for s in timed[k:])]
    when = (
        f"from {faster[0]:,} filters on" if faster else f"at no size up to {timed[-1]['filters']:,} filters"
    )
    said = [
        f"Equal in result: the same filters stay in {same} of {total} layers.",
        f"Faster than the full matrix: {when}, in one run on filters of nine taps "
        f"(at {timed[-1]['filters']:,} filters {timed[-1]['full'] / timed[-1]['nystrom']:.2f} times).",
    ]
    if "half" in found:
        cells = found["half"]
        first = cells[0]["method"]
        name, value = best_of(cells, NORMS, "repaired")
        own = next(c["repaired"] for c in cells if c["method"] == first)
        word = "not below" if own >= value else "below"
        said += [
            beside_random(cells, first, "ResNet-20 at half of the MACs"),
            f"Beside norms: after the repair `{first}` ({own:.2f} %) is {word} the best (`{name}`, {value:.2f} %).",
        ]
    return said


if __name__ == "__main__":
    import singh2023nystrom
    from run import alone

    alone(singh2023nystrom)
