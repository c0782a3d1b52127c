"""By which multiple of channels ONNX Runtime's int8 convolutions gain: every width from 24 to 64, timed by turns.

    python benchmarks/int8_widths.py [--seconds 60] [--threads 1] [--render]

Three convolutions one after the other, each as wide as the one before, in int8 as `secateurs export --int8` writes
them. All widths run by turns, and the fastest of many runs counts, so that a busy machine slows all of them alike.
Every width that is no multiple of m is set beside the next above that is one: below 1, the wider network is faster.
Writes docs/results/int8_widths.json and docs/int8_widths.md; `--render` only the page.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "papers"))

from results import about  # noqa: E402

from secateurs.export import Int8Options, OnnxNetwork, quantise_onnx  # noqa: E402

RECORD = HERE.parent / "docs" / "results" / "int8_widths.json"
PAGE = HERE.parent / "docs" / "int8_widths.md"
WIDTHS = range(24, 65)
MULTIPLES = (2, 4, 8, 16)
KINDS = {"3x3": 3, "1x1": 1}
SIZE = 16  # of the maps
LAYERS = 3
LEAST_GAIN = 0.03
"""A multiple that gains less than this is not advised."""


def network(width: int, kernel: int, path: Path) -> Path:
    """Convolutions of one width, with ReLU between, as a float ONNX file."""
    import onnx

    make, float32, random = onnx.helper, onnx.TensorProto.FLOAT, np.random.RandomState(width)
    nodes, held, name = [], [], "input"
    for k in range(LAYERS):
        weight = random.standard_normal((width, width, kernel, kernel)) / (kernel * math.sqrt(width))
        for what, value in (("w", weight), ("b", random.standard_normal(width))):
            held.append(onnx.numpy_helper.from_array(value.astype(np.float32), f"{what}{k}"))
        nodes.append(make.make_node("Conv", [name, f"w{k}", f"b{k}"], [f"c{k}"], pads=[kernel // 2] * 4))
        nodes.append(make.make_node("Relu", [f"c{k}"], [f"r{k}"]))
        name = f"r{k}"
    shape = ["batch", width, SIZE, SIZE]
    slots = [make.make_tensor_value_info(one, float32, shape) for one in ("input", name)]
    graph = make.make_graph(nodes, "widths", slots[:1], slots[1:], held)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(path))
    return path


def fastest(sessions: Mapping[Any, OnnxNetwork], seconds: float) -> tuple[dict[Any, float], int]:
    """The fastest run of each, in milliseconds, all by turns for so long; and the number of rounds."""
    inputs = {
        key: np.random.RandomState(0).rand(1, *(one.sample_shape or ())).astype(np.float32)
        for key, one in sessions.items()
    }
    best = dict.fromkeys(sessions, math.inf)
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 20 or time.perf_counter() < end:
        for key, session in sessions.items():
            start = time.perf_counter()
            session.scores(inputs[key])
            best[key] = min(best[key], 1000 * (time.perf_counter() - start))
        rounds += 1
    return best, rounds


def ratios(times: Mapping[int, float], multiple: int) -> list[float]:
    """Time at the next multiple above over time at each width that is none.

    Example:
        >>> ratios({3: 2.0, 4: 1.0, 5: 3.0, 6: 3.0}, 2)
        [0.5, 1.0]
    """
    return [
        times[width + -width % multiple] / times[width]
        for width in times
        if width % multiple and width + -width % multiple in times
    ]


def gains(times: Mapping[int, float]) -> list[dict[str, Any]]:
    """What rounding up to each multiple does to time."""
    rows = []
    for multiple in MULTIPLES:
        found = ratios(times, multiple)
        faster = sum(ratio < 1 for ratio in found)
        rows.append({"multiple": multiple, "median": median(found), "faster": faster, "widths": len(found)})
    return rows


def advised(found: Mapping[str, Any]) -> int:
    """The multiple that gains most in the median over all kinds, the smaller where two do; 1 where none gains."""
    means = {
        multiple: sum(
            row["median"]
            for kind in found["kinds"].values()
            for row in kind["gains"]
            if row["multiple"] == multiple
        )
        / len(found["kinds"])
        for multiple in MULTIPLES
    }
    best = min(means, key=lambda multiple: (round(means[multiple], 2), multiple))
    return best if means[best] < 1 - LEAST_GAIN else 1


def measured(seconds: float, threads: int) -> dict[str, Any]:
    """Everything that the page shows."""
    torch.set_num_threads(threads)
    sessions: dict[tuple[str, int], OnnxNetwork] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, kernel in KINDS.items():
            for width in WIDTHS:
                at = network(width, kernel, Path(folder) / f"{kind}-{width}.onnx")
                data = torch.rand(4, width, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
                made = quantise_onnx(at, data, at.with_suffix(".int8.onnx"), Int8Options(samples=4))
                assert made.quantised == LAYERS
                sessions[kind, width] = OnnxNetwork(made.path, threads)
        best, rounds = fastest(sessions, seconds)
    kinds = {}
    for kind in KINDS:
        times = {width: best[kind, width] for width in WIDTHS}
        kinds[kind] = {"milliseconds": {str(w): round(t, 4) for w, t in times.items()}, "gains": gains(times)}
    found = about("python benchmarks/int8_widths.py")
    found["versions"]["onnxruntime"] = importlib.metadata.version("onnxruntime")
    file = Path("/proc/cpuinfo")
    flags = file.read_text().split() if file.is_file() else []
    found["instructions"] = [
        name for name in ("avx2", "avx512_vnni", "avx_vnni", "amx_int8") if name in flags
    ]
    found |= {"rounds": rounds, "layers": LAYERS, "size": SIZE, "kinds": kinds}
    return {**found, "advised": advised(found)}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def page(found: Mapping[str, Any]) -> str:
    """docs/int8_widths.md from the result file; no figure in it is typed by hand."""
    best, kinds = found["advised"], found["kinds"]
    if best > 1:
        at = {
            kind: next(row["median"] for row in each["gains"] if row["multiple"] == best)
            for kind, each in kinds.items()
        }
        took = " and ".join(f"{100 * value:.0f} % ({kind})" for kind, value in at.items())
        said = (
            f"Widths that are multiples of {best} gain: rounded up to the next one, a network takes {took} of the time "
            f"in the median, though it is larger. `secateurs prune --round-to {best}` keeps such widths."
        )
    else:
        said = "No multiple gains: a network of fewer channels is the faster one, whatever its width."
    rows = [
        [kind, str(row["multiple"]), f"{100 * row['median']:.0f} %", f"{row['faster']} of {row['widths']}"]
        for kind, each in kinds.items()
        for row in each["gains"]
    ]
    some = [str(width) for width in WIDTHS if width % 4 == 0 or width in (25, 31, 33, 47, 49, 63)]
    times = [[width, *(f"{kinds[kind]['milliseconds'][width]:.3f}" for kind in kinds)] for width in some]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return "\n".join(
        [
            "# Widths of int8 convolutions",
            "",
            f"{said} Measured on one x86 machine ({', '.join(found['instructions'])}); another may prefer others.",
            "",
            f"{found['layers']} convolutions of one width on maps of {found['size']} x {found['size']}, batch 1, in "
            f"int8 as `secateurs export --int8` writes them, run by ONNX Runtime; the fastest of {found['rounds']} "
            f"runs, all widths from {WIDTHS[0]} to {WIDTHS[-1]} by turns. Time at the next multiple above, of the "
            "time at a width that is none:",
            "",
            *table(("kernel", "multiple of", "time, median", "faster though wider"), rows),
            "Some of the times in ms; the others are in [results/int8_widths.json](results/int8_widths.json).",
            "",
            *table(("width", *kinds), times),
            f"`{found['command']}`, {found['date']}, commit {found['commit']}, {found['machine']}; {versions}.",
            "",
        ]
    )


def main() -> None:
    """Measure, write, render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    if not given.render:
        RECORD.write_text(json.dumps(measured(given.seconds, given.threads), indent=1) + "\n")
    PAGE.write_text(page(json.loads(RECORD.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
