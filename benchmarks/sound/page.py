"""docs/audio.md from the result files; no figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

HEAD = """# Audio networks

What `python benchmarks/audio.py` measured; the published sizes and cuts of the DCASE networks, VGGish and CNN14, to the
digit, are in [papers.md](papers.md). Nothing is chosen on the clips that are tested, and no repair looks at a label.
"""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def origin(found: dict[str, Any]) -> str:
    """What made a result."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    note = f" {found['note']}" if "note" in found else ""
    return f"`{found['command']}`, {found['date']}, commit {found['commit']}, {found['machine']}; {versions}.{note}"


def _stage(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return "-" if value is None else f"{value[0]:.1f} ± {value[1]:.1f} ({value[2]:+.1f})"


def esc10(found: dict[str, Any]) -> list[str]:
    """The DCASE baseline on ESC-10."""
    whole = [accuracy for _, accuracy in found["whole"]]
    rows = [row for row in found["rows"] if "bare" in row]
    cells = [
        [
            row["method"],
            f"{row['cut']} %",
            f"{row['macs_cut']:.1f} %",
            f"{row['params_cut']:.1f} %",
            *(_stage(row, key) for key in ("bare", "repaired", "fine-tuned")),
        ]
        for row in rows
    ]
    hard = [row for row in rows if row["cut"] == 71]

    def met(key: str) -> str:
        names = [row["method"] for row in hard if key in row and row[key][2] < 2 and row["params_cut"] >= 50]
        run = any(key in row for row in hard)
        return ", ".join(names) or ("none" if run else "not run")

    return [
        "## The DCASE 2021 baseline on ESC-10",
        "",
        f"Trained from scratch in each of five folds: {fmean(whole):.1f} ± {stdev(whole):.1f} % of 80 clips. Then cut "
        "by each method to 25, 50 and 71 % fewer multiply-adds (with 71 %, half the parameters too): as it is, "
        "repaired from 64 unlabelled clips of the folds that train (`least-squares-once`; for `moments` the defaults "
        "of `prune` with free widths), and fine-tuned for 5 epochs from the bare cut (for `moments` from the "
        "repaired). Per cent of clips right, mean and deviation over the folds, in brackets the points lost. A dash: "
        "not run.",
        "",
        *table(("method", "asked", "MACs cut", "parameters cut", "bare", "repaired", "fine-tuned"), cells),
        "The claim of the papers, 71 % fewer multiply-adds and half the parameters for less than 2 points, is met on "
        f"these data bare by: {met('bare')}; repaired without labels by: {met('repaired')}; fine-tuned by: "
        f"{met('fine-tuned')}.",
        "",
        origin(found),
        "",
    ]


def yamnet(found: dict[str, Any]) -> list[str]:
    """YAMNet on ESC-10."""
    cells, files = [], []
    for cut in dict.fromkeys(row["cut"] for row in found["rows"]):
        own = [row for row in found["rows"] if row["cut"] == cut]
        clips, whole, right = (sum(row[key] for row in own) for key in ("clips", "whole", "right"))
        cells.append(
            [
                f"{cut} %",
                str(clips),
                f"{100 * (1 - own[0]['macs'][1] / own[0]['macs'][0]):.1f} %",
                f"{100 * (1 - fmean(row['params'][1] for row in own) / own[0]['params'][0]):.1f} %",
                f"{100 * whole / clips:.2f}",
                f"{100 * right / clips:.2f} ({100 * (right - whole) / clips:+.2f})",
                f"{fmean(sum(row['seconds'].values()) for row in own):.0f} s",
            ]
        )
        for rule in sorted({tuple(row["rule"]) for row in found["int8"] if row["cut"] == cut}):
            same = [row for row in found["int8"] if row["cut"] == cut and tuple(row["rule"]) == rule]
            files.append(_int8(cut, rule, same, len(own)))
    header = ("asked", "clips", "MACs cut", "parameters cut", "whole, %", "repaired", "time")
    columns = ("asked", "alike", "folds", "float, %", "int8", "int8 file", "float file", "layers in float")
    return [
        "## YAMNet on ESC-10, without training",
        "",
        "The public weights know 521 sounds, of which ESC-10 names ten. Cut to free widths and repaired, all else by "
        "default, on 2,048 patches of unlabelled clips of the other folds, no gradient step. In brackets points "
        "gained or lost.",
        "",
        *table(header, cells),
        "int8 on top, by ONNX Runtime, from 96 of these patches: layers stay in float until the error on them is at "
        f"most {_listed(found['errors'])} %, the largest with which enough unlabelled clips of the other folds are "
        "decided as in float. In brackets what is lost to float. The second rule, as many as points may be lost, was "
        "set after the first had been scored.",
        "",
        *table(columns, files),
        origin(found),
        "",
    ]


def _int8(cut: int, rule: Sequence[float], same: Sequence[dict[str, Any]], folds: int) -> list[str]:
    """A row of the files of one rule."""
    clips = 80 * len(same)
    told, small = (sum(row[key] for row in same) for key in ("float", "int8"))
    return [
        f"{cut} %",
        f"{100 * rule[1]:g} % of {rule[0]:.0f}",
        f"{len(same)} of {folds}",
        f"{100 * told / clips:.2f}",
        f"{100 * small / clips:.2f} ({100 * (small - told) / clips:+.2f})",
        f"{fmean(row['bytes'] for row in same) / 1e6:.2f} MB",
        f"{fmean(row['float bytes'] for row in same) / 1e6:.2f} MB",
        f"{min(row['left'] for row in same)} to {max(row['left'] for row in same)}",
    ]


def _listed(shares: Sequence[float]) -> str:
    """Shares in per cent, in words."""
    *first, last = (f"{100 * share:g}" for share in shares)
    return f"{', '.join(first)} or {last}"


def scenes(found: dict[str, Any]) -> list[str]:
    """The DCASE 2022 entry and CP-Mobile."""
    entry, winner = found["dcase2022"], found["cp_mobile"]
    names = (
        "similarity-nystrom none",
        "similarity-nystrom least-squares",
        "moments none",
        "moments least-squares",
    )
    rows = [
        [row["net"], f"{row['params']:,}", f"{row['authors']:.1f}", *(f"{row[name]:.1f}" for name in names)]
        for row in entry["rows"]
    ]
    cells = [
        [
            name,
            f"{row['params']:,}",
            f"{row['macs'] / 1e6:.2f} M",
            f"{row['agreement']:.1f}",
            "-" if row["peak"] is None else f"{row['peak'] / 1000:.0f} kB",
            *(
                f"{row[f'{key} agreement']:.1f} ({row[f'{key} bytes'] / 1000:.0f} kB)"
                if f"{key} bytes" in row
                else "-"
                for key in ("int8", "mixed")
            ),
        ]
        for name, row in winner.items()
        if isinstance(row, dict)
    ]
    verdicts = [row["verdict"] for row in winner.values() if isinstance(row, dict)]
    return [
        "## Acoustic scenes",
        "",
        "The data of the challenges are not here. What is measured is how often a network decides as the unpruned one "
        "does, on seconds of ESC-10 that no step has seen (fold 1; repairs saw 256 unlabelled seconds of the others).",
        "",
        "The DCASE 2022 entry beside its authors' pruned and fine-tuned networks, at their widths. Those were tuned to "
        "labels of scenes, and need not agree on other sounds; always giving the unpruned network's most frequent "
        f"decision agrees {entry['chance']:.1f} %.",
        "",
        *table(("layers", "parameters", "authors, tuned", *names), rows),
        f"CP-Mobile, `--budget dcase2025:int8`, and with `--macs 0.5`, {winner['seconds']} seconds (the most frequent "
        f"decision: {winner['chance']:.1f} %):",
        "",
        *table(
            (
                "network",
                "parameters",
                "MACs",
                "agreement, %",
                "peak, int8",
                "all int8 (file)",
                "to 10 % error (file)",
            ),
            cells,
        ),
        *(f"- {verdict}" for verdict in verdicts),
        "",
        origin(found),
        "",
    ]


def cnn14(found: dict[str, Any]) -> list[str]:
    """CNN14's time and memory."""
    rows = [
        [
            "no data" if not row["clips"] else f"{row['clips']} clips of 10 s",
            f"{100 * (1 - row['macs'][1] / row['macs'][0]):.1f} %",
            f"{row['wall']:.0f} s",
            f"{row['processor']:.0f} s",
            str(row["threads"]),
            f"{row['GiB']:.1f} GiB",
            f"{row['proof']:.0e}",
        ]
        for row in found["rows"]
    ]
    return [
        "## CNN14 to half its multiply-adds",
        "",
        "80.8 M parameters, random weights, noise: what it takes.",
        "",
        *table(("", "MACs cut", "wall", "processor", "threads", "memory", "proof"), rows),
        origin(found),
        "",
    ]


PARTS = {"esc10": esc10, "yamnet": yamnet, "scenes": scenes, "cnn14": cnn14}


def page(results: Path) -> str:
    """The whole page from the files that are there."""
    lines = [HEAD]
    for name, part in PARTS.items():
        path = results / f"{name}.json"
        if path.is_file():
            lines += part(json.loads(path.read_text()))
    return "\n".join(lines).rstrip() + "\n"
