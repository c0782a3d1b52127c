"""docs/speed.md from docs/results/speed.json: latency beside multiply-adds, and what rounding costs in accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {
    "resnet50": "ResNet-50, 224 x 224",
    "mobilenet_v2": "MobileNetV2, 224 x 224",
    "vgg16": "VGG-16, 32 x 32",
    "resnet56": "ResNet-56, 32 x 32",
    "resnet20": "ResNet-20",
}
HOW = {"pytorch": "PyTorch", "channels_last": "channels last", "onnxruntime": "ONNX Runtime"}
Row = Mapping[str, Any]


def page(found: Mapping[str, Any]) -> str:
    """The page, whose every number comes from the results."""
    speed, accuracy = found["speed"], found.get("accuracy", {})
    lines = [
        "# Speed follows widths, not multiply-adds",
        "",
        "Written by `python benchmarks/speed.py --render` from [results/speed.json](results/speed.json). Networks with",
        "random weights, pruned by `l1-norm`, every layer alike, to half their multiply-adds (MACs); batch 1, "
        f"{_threads(speed)} threads.",
        "They take turns, and of each the fastest pass counts, as other programs only ever add to a time. `x` is the",
        "time of the whole network over that of the smaller one, in the same runtime. Widths are the channels that",
        "groups keep: free, multiples of 8, 16 or 32, or `auto`, the default: of the largest of the three that moves a",
        "group by at most 5 % of its channels, and free where there are fewer than 80.",
        "",
        *summary(speed),
    ]
    for name, one in speed.items():
        lines += ["", f"## {NAMES[name]}", "", *table(one)]
    if accuracy:
        lines += ["", "## What rounding costs", "", *costs(accuracy)]
    lines += ["", *_made(found)]
    return "\n".join(lines) + "\n"


def _threads(speed: Mapping[str, Any]) -> str:
    return " or ".join(sorted({str(one["threads"]) for one in speed.values()}))


def row_of(one: Mapping[str, Any], widths: str) -> Row:
    """The row of one way to round."""
    found: Row = next(row for row in one["rows"] if row["widths"] == widths)
    return found


def gain(one: Mapping[str, Any], widths: str, how: str) -> float:
    """How many times faster than the whole network."""
    return float(row_of(one, "whole")[how] / row_of(one, widths)[how])


def runtimes(one: Mapping[str, Any]) -> list[str]:
    """Those that are shown: channels last where it is faster for the whole network and for the default's."""
    faster = all(row_of(one, w)["channels_last"] < row_of(one, w)["pytorch"] for w in ("whole", "auto"))
    return [how for how in HOW if how != "channels_last" or faster]


def summary(speed: Mapping[str, Any]) -> list[str]:
    """The default beside free widths, one line a network."""
    lines = [
        "| half of the MACs | PyTorch, free | PyTorch, `auto` | ONNX Runtime, free | ONNX Runtime, `auto` |",
        "|---|---|---|---|---|",
    ]
    for name, one in speed.items():
        cells = [
            f"{gain(one, widths, how):.2f} x"
            for how in ("pytorch", "onnxruntime")
            for widths in ("1", "auto")
        ]
        lines.append(f"| {NAMES[name]} | " + " | ".join(cells) + " |")
    return [*lines, "", *said(speed)]


def said(speed: Mapping[str, Any]) -> list[str]:
    """What the figures say, in words."""
    lines = []
    for name, one in speed.items():
        if row_of(one, "auto")["same_as_free"]:
            gains = sorted(gain(one, "1", how) for how in ("pytorch", "onnxruntime"))
            lines.append(
                f"- {NAMES[name]}: no group has 80 channels, so `auto` keeps free widths, and both columns time the "
                f"same network; half of the multiply-adds make it {gains[0]:.2f} to {gains[1]:.2f} times as fast."
            )
            continue
        parts = []
        for how in ("pytorch", "onnxruntime"):
            more = 100 * (gain(one, "auto", how) / gain(one, "1", how) - 1)
            parts.append(f"{abs(more):.0f} % {'faster' if more >= 0 else 'slower'} in {HOW[how]}")
        lines.append(f"- {NAMES[name]}: `auto` is {' and '.join(parts)} than free widths at the same MACs.")
    return lines


def table(one: Mapping[str, Any]) -> list[str]:
    """All ways to round one network."""
    shown = runtimes(one)
    whole = row_of(one, "whole")
    head = ["widths", "MACs", "parameters", "groups by multiple", *(f"{HOW[how]}, ms | x" for how in shown)]
    lines = ["| " + " | ".join(head) + " |", "|---" * (4 + 2 * len(shown)) + "|"]
    for row in one["rows"]:
        cells = [
            {"whole": "unpruned", "1": "free (1)"}.get(row["widths"], row["widths"]),
            f"{100 * row['macs'] / whole['macs']:.1f} %",
            f"{100 * row['params'] / whole['params']:.1f} %",
            _multiples(row["multiples"]),
        ]
        for how in shown:
            cells += [f"{row[how]:.2f}", f"{whole[how] / row[how]:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"MACs unpruned {whole['macs']:,}; {_rounds(one, shown)}."]
    if "channels_last" not in shown:
        slow = [
            f"{row_of(one, w)['channels_last']:.2f} ms {said_}"
            for w, said_ in (("whole", "unpruned"), ("auto", "`auto`"))
        ]
        lines[-1] += f" Channels last in PyTorch, which is not faster for both: {', '.join(slow)}."
    return lines


def _multiples(found: Mapping[str, int] | None) -> str:
    """How many groups keep a multiple of what."""
    if not found:
        return "-"
    words = [f"{found[n]} of {n}" for n in ("32", "16", "8") if n in found]
    return ", ".join([*words, *([f"{found['none']} of none"] if "none" in found else [])])


def _rounds(one: Mapping[str, Any], shown: Sequence[str]) -> str:
    rounds = ", ".join(f"{one['rounds'][how]} in {HOW[how]}" for how in shown)
    load = one["load"][0]
    return (
        f"rounds of {one['passes']} passes of each network: {rounds}; load of the machine at the end {load}"
    )


def costs(accuracy: Mapping[str, Any]) -> list[str]:
    """Accuracy of free widths beside the default's and those in eights."""
    lines = [
        "`prune` to a share of the MACs with data and without a method named (moments, sensitivity, least-squares), on",
        "images without labels; accuracy in per cent on samples that it has not seen, and in brackets the MACs.",
        "",
        "| network | calibration | effort | scored on | unpruned | free | `auto` | multiples of 8 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in accuracy.items():
        by = {row["widths"]: f"{row['accuracy']:.2f} ({100 * row['macs']:.1f} %)" for row in one["rows"]}
        cells = [NAMES[name].split(",")[0], f"{one['images']:,}", one["effort"], f"{one['test']:,}"]
        lines.append("| " + " | ".join([*cells, f"{one['whole']:.2f}", by["1"], by["auto"], by["8"]]) + " |")
    return [*lines, "", *(f"- {_cost(name, one)}" for name, one in accuracy.items())]


def _cost(name: str, one: Mapping[str, Any]) -> str:
    """The default beside free widths, in words."""
    auto = row_of(one, "auto")
    points = auto["accuracy"] - row_of(one, "1")["accuracy"]
    if auto["same_as_free"]:
        return f"{NAMES[name].split(',')[0]}: no group has 80 channels, so the plan of `auto` is that of free widths."
    return f"{NAMES[name].split(',')[0]}: `auto` has {points:+.2f} points on {one['test']:,} samples."


def _made(found: Mapping[str, Any]) -> list[str]:
    """Where and when."""
    lines = []
    for part in ("speed", "accuracy"):
        for one in found.get(part, {}).values():
            about = one["about"]
            versions = ", ".join(
                f"{k} {v}" for k, v in about["versions"].items() if k in ("torch", "onnxruntime")
            )
            lines.append(
                f"`{about['command']}`: {about['machine']}, {versions}, commit {about['commit']}, {about['date']}.  "
            )
    return lines
