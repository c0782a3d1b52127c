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
CLOCKS = {"": "two threads, by the clock", "_processor": "one thread, processor time"}
QUIET = 3.0
"""The load of a machine of two cores up to which two threads are sometimes left alone."""
Row = Mapping[str, Any]


def page(found: Mapping[str, Any]) -> str:
    """The page, whose every number comes from the results."""
    speed = {name: found["speed"][name] for name in NAMES if name in found["speed"]}
    accuracy = found.get("accuracy", {})
    lines = [
        "# Speed follows widths, not multiply-adds",
        "",
        "Written by `python benchmarks/speed.py --render` from [results/speed.json](results/speed.json). Networks",
        "with random weights, pruned by `l1-norm`, every layer alike, to half their multiply-adds (MACs); batch 1.",
        "They take turns, and of each the fastest pass counts, as other programs only ever add to a time. `x` is",
        "the time of the whole network over that of the smaller one, in the same runtime. Widths are the channels",
        "that groups keep: free, multiples of 8, 16 or 32, or `auto`, the default: of the largest of the three that",
        "moves a group by at most 5 % of its channels, and free where there are fewer than 80.",
        "",
        *said_of_clocks(speed),
    ]
    clocks = {clock: words for clock, words in CLOCKS.items() if clock or quiet(speed)}
    for clock, words in clocks.items():
        lines += ["", f"## Half of the MACs: {words}", "", *summary(speed, clock)]
    for name, one in speed.items():
        lines += ["", f"## {NAMES[name]}", "", *counts(one)]
        for clock, words in clocks.items():
            lines += ["", f"{words[0].upper()}{words[1:]}:", "", *table(one, clock)]
    if accuracy:
        lines += ["", "## What rounding costs", "", *costs(accuracy)]
    lines += ["", *_made(found)]
    return "\n".join(lines) + "\n"


def quiet(speed: Mapping[str, Any]) -> bool:
    """Whether other programs left the machine alone, so that the clock says something of two threads."""
    return all(one["load"][0] <= QUIET for one in speed.values())


def said_of_clocks(speed: Mapping[str, Any]) -> list[str]:
    """What the two clocks say, and whether both are shown."""
    loads = sorted(one["load"][0] for one in speed.values())
    between = f"{loads[0]} to {loads[-1]}"
    if quiet(speed):
        return [
            f"By the clock with two threads, at a load of the machine of {between}, and by processor time of one."
        ]
    return [
        "Times are processor time of one thread, which other programs hardly lengthen. Those by the clock with two",
        f"threads were taken at a load of {between} on two cores and say nothing; the file has them.",
    ]


def row_of(one: Mapping[str, Any], widths: str) -> Row:
    """The row of one way to round."""
    found: Row = next(row for row in one["rows"] if row["widths"] == widths)
    return found


def gain(one: Mapping[str, Any], widths: str, how: str) -> float:
    """How many times faster than the whole network."""
    return float(row_of(one, "whole")[how] / row_of(one, widths)[how])


def runtimes(one: Mapping[str, Any], clock: str) -> list[str]:
    """Those that are shown: channels last where it is faster for the whole network and for the default's."""
    last, first = f"channels_last{clock}", f"pytorch{clock}"
    faster = all(row_of(one, w)[last] < row_of(one, w)[first] for w in ("whole", "auto"))
    return [how for how in HOW if how != "channels_last" or faster]


def summary(speed: Mapping[str, Any], clock: str) -> list[str]:
    """The default beside free widths, one line a network, and what that says."""
    lines = [
        "| network | PyTorch, free | PyTorch, `auto` | ONNX Runtime, free | ONNX Runtime, `auto` |",
        "|---|---|---|---|---|",
    ]
    for name, one in speed.items():
        cells = [
            f"{gain(one, widths, how + clock):.2f} x"
            for how in ("pytorch", "onnxruntime")
            for widths in ("1", "auto")
        ]
        lines.append(f"| {NAMES[name]} | " + " | ".join(cells) + " |")
    return [*lines, "", *(f"- {NAMES[name]}: {said(one, clock)}" for name, one in speed.items())]


def said(one: Mapping[str, Any], clock: str) -> str:
    """What the figures of one network say, in words."""
    if row_of(one, "auto")["same_as_free"]:
        off = max(abs(gain(one, "auto", how + clock) / gain(one, "1", how + clock) - 1) for how in HOW)
        return (
            "no group has 80 channels, so `auto` keeps free widths; what both columns differ by, up to "
            f"{100 * off:.0f} %, is the error of the measurement."
        )
    parts = []
    for how in ("pytorch", "onnxruntime"):
        more = 100 * (gain(one, "auto", how + clock) / gain(one, "1", how + clock) - 1)
        parts.append(f"{abs(more):.0f} % {'faster' if more >= 0 else 'slower'} in {HOW[how]}")
    return f"`auto` is {' and '.join(parts)} than free widths at the same MACs."


WORDS = {"whole": "unpruned", "1": "free (1)"}


def counts(one: Mapping[str, Any]) -> list[str]:
    """What stays in each way to round."""
    whole = row_of(one, "whole")
    lines = ["| widths | MACs | parameters | groups that lost channels, by multiple |", "|---|---|---|---|"]
    for row in one["rows"]:
        share, size = row["macs"] / whole["macs"], row["params"] / whole["params"]
        words = WORDS.get(row["widths"], row["widths"])
        lines.append(
            f"| {words} | {100 * share:.2f} % | {100 * size:.1f} % | {_multiples(row['multiples'])} |"
        )
    lines += ["", f"MACs unpruned: {whole['macs']:,}."]
    if one["out_of_reach"]:
        lines[-1] += f" In multiples of {' or '.join(one['out_of_reach'])} no plan gets down to half."
    return lines


def table(one: Mapping[str, Any], clock: str) -> list[str]:
    """Milliseconds of all ways to round one network, by one clock."""
    shown = runtimes(one, clock)
    whole = row_of(one, "whole")
    lines = [
        "| widths | " + " | ".join(f"{HOW[how]}, ms | x" for how in shown) + " |",
        "|---" * (1 + 2 * len(shown)) + "|",
    ]
    for row in one["rows"]:
        cells = [WORDS.get(row["widths"], row["widths"])]
        for how in (name + clock for name in shown):
            cells += [f"{row[how]:.2f}", f"{whole[how] / row[how]:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"{_rounds(one, shown, clock)}."]
    if "channels_last" not in shown:
        slow = [
            f"{row_of(one, w)[f'channels_last{clock}']:.2f} ms {WORDS.get(w, w)}" for w in ("whole", "auto")
        ]
        lines[-1] += f" Channels last in PyTorch is not faster for both: {', '.join(slow)}."
    return lines


def _multiples(found: Mapping[str, int] | None) -> str:
    """How many groups keep a multiple of what."""
    if not found:
        return "-"
    words = [f"{found[n]} of {n}" for n in ("32", "16", "8") if n in found]
    return ", ".join([*words, *([f"{found['none']} of none"] if "none" in found else [])])


def _rounds(one: Mapping[str, Any], shown: Sequence[str], clock: str) -> str:
    rounds = ", ".join(f"{one['rounds'][how + clock]} in {HOW[how]}" for how in shown)
    return f"Rounds of {one['passes']} passes of each network: {rounds}"


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
