"""Selections as the authors' scripts make them, in plain loops, beside ours, in one run.

Both sides get the same matrices and must come to the same selection; what is printed is the ratio of
their times, which depends on the machine far less than the times do.

    python benchmarks/selection.py [--quick] [--only NAME ...] [--write docs/selection.md]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import torch
from scipy.spatial.distance import cosine as cosine_distance

from secateurs.arrays import normalise_rows
from secateurs.measure import betweenness, cosine, gram, nystrom_cosine, nystrom_factor
from secateurs.represent import rank_one_direction
from secateurs.select import backward, lrf, nearest_pairs, nearest_pairs_of_rows, omp

VGGISH = [(64, 1), (128, 64), (256, 128), (256, 256), (512, 256), (512, 512)]


@dataclass(frozen=True)
class Seconds:
    """Time on the clock, and of the processor (all threads together)."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.3g} / {self.processor:.3g}"


@dataclass(frozen=True)
class Line:
    """One line of the table: times of both sides, what each did, and what was asked for."""

    work: str
    plain: Seconds | None
    plain_did: str
    ours: Seconds
    ours_did: str
    asked: str

    @property
    def ratio(self) -> str:
        """By processor time, which other work on the machine disturbs least."""
        return "-" if self.plain is None else f"{self.plain.processor / self.ours.processor:,.1f} x"


def timed(work: Callable[[], Any], *, repeat: int = 1) -> tuple[Seconds, Any]:
    """The shortest of some runs, and the result."""
    walls, processors, result = [], [], None
    for _ in range(repeat):
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return Seconds(min(walls), min(processors)), result


def same(ours: Any, plain: Any, what: str) -> None:
    if ours != plain:
        raise SystemExit(f"{what}: ours and the plain loop differ:\n{ours}\n{plain}")


# Similarity -----------------------------------------------------------------------------------------


def plain_directions(weights: np.ndarray) -> list[np.ndarray]:
    rows = []
    for one in weights:
        left, _, right = np.linalg.svd(one.T, full_matrices=False)
        column = np.outer(left[:, 0], right[0])[:, 0]
        rows.append(column / np.linalg.norm(column))
    return rows


def plain_pairs(distance: np.ndarray) -> list[int]:
    nearest, closest = [], []
    for i in range(len(distance)):
        others = [(distance[i, j], j) for j in range(len(distance)) if j != i]
        closest.append(min(others)[0])
        nearest.append(min(others)[1])
    kept, red = [], []
    for i in sorted(range(len(distance)), key=lambda i: (closest[i], i)):
        if i not in red:
            kept.append(i)
            red.append(nearest[i])
    return sorted(kept)


def plain_similarity(layers: list[np.ndarray], columns: int | None) -> list[list[int]]:
    kept = []
    for weights in layers:
        p = plain_directions(weights)
        n = len(p)
        m = n if columns is None else columns
        c = np.array([[1.0 - cosine_distance(p[i], p[j]) for j in range(m)] for i in range(n)])
        s = c if columns is None else c @ np.linalg.pinv(c[:m], rcond=1e-10) @ c.T
        kept.append(plain_pairs(np.round(1.0 - s, 5)))
    return kept


def our_similarity(layers: list[np.ndarray], columns: int | None) -> list[list[int]]:
    kept = []
    for weights in layers:
        p = rank_one_direction(weights)
        s = cosine(p, decimals=5) if columns is None else nystrom_cosine(p, columns=columns, decimals=5)
        order = nearest_pairs(s)
        kept.append(sorted(order.units[order.own or 0 :]))
    return kept


def similarity(quick: bool) -> list[Line]:
    rng = np.random.default_rng(0)
    shapes = VGGISH[:3] if quick else VGGISH
    layers = [rng.standard_normal((n, c, 9)) for n, c in shapes]
    lines = []
    for columns, name in ((None, "full"), (9, "Nyström, m = 9")):
        plain_time, plain = timed(lambda m=columns: plain_similarity(layers, m))
        our_time, ours = timed(lambda m=columns: our_similarity(layers, m), repeat=15)
        same(ours, plain, f"similarity {name}")
        lines.append(
            Line(
                f"similarity, {name}, {len(layers)} layers of VGGish",
                plain_time,
                "SVD a filter, cosine a pair",
                our_time,
                "complete orders",
                "under 0.05 s",
            )
        )
    return lines


def nystrom(quick: bool) -> list[Line]:
    n, d, m = (8192 if quick else 65536), 256, 64
    torch.manual_seed(0)
    filters = torch.randn(n, m, dtype=torch.float64) @ torch.randn(m, d, dtype=torch.float64)
    full_time, full = timed(lambda: nearest_pairs_of_rows(normalise_rows(filters), decimals=5, rounds=1))
    our_time, ours = timed(
        lambda: nearest_pairs_of_rows(nystrom_factor(filters, columns=m), decimals=5, rounds=1)
    )
    same(set(ours.units[: ours.own]), set(full.units[: full.own]), "Nyström")
    first = Line(
        f"Nyström with m = {m}, {n:,} filters x {d} of rank {m}",
        full_time,
        "our own full products, in tiles",
        our_time,
        f"the same selection: {ours.own:,} leave",
        "3 x",
    )
    many, columns = (16384 if quick else 262144), 32
    filters = torch.randn(many, columns, dtype=torch.float64) @ torch.randn(columns, d, dtype=torch.float64)
    seconds, order = timed(
        lambda: nearest_pairs_of_rows(nystrom_factor(filters, columns=columns), decimals=5, rounds=1)
    )
    second = Line(
        f"Nyström with m = {columns}, {many:,} filters x {d} of rank {columns}",
        None,
        "-",
        seconds,
        f"nothing n x n formed; {order.own:,} leave",
        "under 60 s",
    )
    return [first, second]


# Linear replaceability ------------------------------------------------------------------------------


def plain_lrf(f: np.ndarray, steps: int) -> list[int]:
    left, units, z = list(range(len(f))), [], np.eye(len(f))
    for _ in range(steps):
        best = None
        for j in left:
            others = [i for i in left if i != j]
            a = f[others]
            fit = np.linalg.inv(a @ a.T) @ (a @ f[j])
            score = np.linalg.norm(f[j] - fit @ a) * np.linalg.norm(z[:, j])
            if best is None or score < best[0]:
                best = score, j, others, fit
        z[:, best[2]] += np.outer(z[:, best[1]], best[3])
        left.remove(best[1])
        units.append(best[1])
    return units


def plain_backward(f: np.ndarray, steps: int) -> list[int]:
    left, units, b = list(range(len(f))), [], f.T
    for _ in range(steps):
        a = f[left].T
        g = np.linalg.inv(a.T @ a)
        rises = [np.linalg.norm((a @ g[:, k]) @ b) ** 2 / g[k, k] for k in range(len(left))]
        units.append(left.pop(int(np.argmin(rises))))
    return units


def plain_omp(f: np.ndarray, steps: int) -> list[int]:
    unit = f / np.linalg.norm(f, axis=1, keepdims=True)
    rest, chosen = unit.copy(), []
    for _ in range(steps):
        gains = [-1.0 if i in chosen else np.abs(rest @ unit[i]).sum() for i in range(len(f))]
        chosen.append(int(np.argmax(gains)))
        a = unit[chosen]
        fit = np.linalg.lstsq(a @ a.T + np.eye(len(a)), a @ unit.T, rcond=None)[0]
        rest = unit - fit.T @ a
    return chosen


def linear(quick: bool) -> list[Line]:
    rng = np.random.default_rng(0)
    n, d = (64, 576) if quick else (256, 2304)
    small = rng.standard_normal((n, d))
    steps = {"lrf": n // 16, "fp-backward": n // 2, "fp-omp": n}
    big_n, big_d = (512, 1152) if quick else (2048, 4608)
    big = rng.standard_normal((big_n, big_d))
    work = {
        "lrf": (plain_lrf, lambda f: lrf(gram(f)), False),
        "fp-backward": (plain_backward, lambda f: backward(gram(f)), False),
        "fp-omp": (plain_omp, lambda f: omp(gram(f), faithful=True), True),
    }
    lines = []
    for name, (plain, ours, last_first) in work.items():
        plain_time, units = timed(lambda p=plain, k=steps[name]: p(small, k))
        our_time, order = timed(lambda o=ours: o(small), repeat=3)
        same(list(order.units[::-1] if last_first else order.units)[: steps[name]], units, name)
        lines.append(
            Line(
                f"{name}, {n} x {d}",
                plain_time,
                f"{steps[name]} of {n} steps",
                our_time,
                f"all {n} steps",
                "100 x",
            )
        )
    big_work = [(name, ours) for name, (_, ours, _) in work.items()] + [
        ("omp, sound form", lambda f: omp(gram(f)))
    ]
    for name, ours in big_work:
        seconds, _ = timed(lambda o=ours: o(big))
        lines.append(Line(f"{name}, {big_n:,} x {big_d:,}", None, "-", seconds, "all steps", "under 20 s"))
    return lines


# One method beside another ---------------------------------------------------------------------------

RESNET = [(16, 144), (32, 288), (64, 576)]


@dataclass(frozen=True)
class Rivals:
    """Three ways to choose which half of some layers' filters leave, on the same matrices in the same run."""

    work: str
    did: str
    lrf: Seconds
    omp: Seconds
    steps: Seconds

    @property
    def row(self) -> str:
        """One line of the table."""
        ratios = (f"{self.lrf.processor / other.processor:,.2f} x" for other in (self.omp, self.steps))
        return f"| {self.work} | {self.did} | {self.lrf} | {self.omp} | {self.steps} | {' | '.join(ratios)} |"


def in_steps(
    filters: np.ndarray, choose: Callable[[np.ndarray, int], list[int]], batch: int = 5
) -> list[int]:
    """What is left after steps that each choose anew, on what is left, which filters leave; at most half do."""
    left = list(range(len(filters)))
    while len(filters) - len(left) + batch <= len(filters) // 2:
        stays = choose(filters[left], len(left) - batch)
        left = sorted(left[i] for i in stays)
    return left


def our_omp(filters: np.ndarray, many: int) -> list[int]:
    return list(omp(gram(filters), faithful=True).units[len(filters) - many :])


def rivals() -> list[Rivals]:
    rng = np.random.default_rng(0)
    found = []
    sets = {"a layer of each width of ResNet-56": RESNET, "256 x 2304": [(256, 2304)]}
    for name, shapes in sets.items():
        layers = [rng.standard_normal(shape) for shape in shapes]
        ours = (
            timed(lambda f=layers: [list(lrf(gram(one)).units[: len(one) // 2]) for one in f], repeat=9),
            timed(lambda f=layers: [sorted(our_omp(one, len(one) - len(one) // 2)) for one in f], repeat=9),
            timed(lambda f=layers: [in_steps(one, our_omp) for one in f]),
        )
        if len(layers[0]) < 256:  # beyond that the loops take minutes
            plain = (
                timed(lambda f=layers: [plain_lrf(one, len(one) // 2) for one in f]),
                timed(lambda f=layers: [sorted(plain_omp(one, len(one) - len(one) // 2)) for one in f]),
                timed(lambda f=layers: [in_steps(one, plain_omp) for one in f]),
            )
            for (_, own), (_, other), what in zip(ours, plain, ("lrf", "fp-omp", "in steps"), strict=True):
                same(own, other, f"{what}, {name}")
            found.append(Rivals(name, "plain loops", *(seconds for seconds, _ in plain)))
        found.append(Rivals(name, "ours", *(seconds for seconds, _ in ours)))
    return found


def rivals_table(found: list[Rivals]) -> str:
    head = (
        "| layers | written as | LRF, s | FP-OMP, s | FP-OMP anew in steps of 5, s | LRF / FP-OMP | LRF / in steps |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(one.row for one in found) + "\n"


# Graphs ---------------------------------------------------------------------------------------------


def central(quick: bool) -> list[Line]:
    n = 128 if quick else 512
    filters = np.random.default_rng(0).standard_normal((n, 9))
    length = np.maximum(1.0 - cosine(filters), 1e-5)
    np.fill_diagonal(length, 0.0)
    graph = networkx.from_numpy_array(length)
    plain_time, plain = timed(
        lambda: networkx.betweenness_centrality(graph, weight="weight", normalized=False)
    )
    our_time, ours = timed(lambda: betweenness(filters), repeat=3)
    np.testing.assert_allclose(ours, [plain[i] for i in range(n)], atol=1e-6)
    return [Line(f"betweenness, {n} filters", plain_time, "networkx", our_time, "igraph", "10 x")]


PARTS = {"similarity": similarity, "nystrom": nystrom, "linear": linear, "central": central}


def table(lines: list[Line]) -> str:
    head = "| work | plain loops, s | ours, s | ratio | asked for |\n|---|---|---|---|---|\n"
    rows = []
    for line in lines:
        plain = "-" if line.plain is None else f"{line.plain} ({line.plain_did})"
        rows.append(
            f"| {line.work} | {plain} | {line.ours} ({line.ours_did}) | {line.ratio} | {line.asked} |"
        )
    return head + "\n".join(rows) + "\n"


def page(lines: list[Line], beside: list[Rivals]) -> str:
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return (
        "# Speed of the selections\n\n"
        "Written by `python benchmarks/selection.py --write docs/selection.md`: the authors' way, in plain\n"
        "loops, beside ours, on the same matrices in the same run. Both must come to the same selection, or the\n"
        "run stops. Where the plain loop would take too long it makes the first steps only, and ours all of\n"
        "them, so the ratio is a lower bound. Filters are drawn at random (seed 0). Times are seconds on the\n"
        "clock / of the processor; the first is the longer where other work runs beside; the ratio is\n"
        "by processor time.\n\n"
        f"{table(lines)}\n"
        "LRF beside FP-OMP, half of the filters chosen: the claim of FP-OMP's paper is that it takes less time. In\n"
        "plain loops LRF solves a system for every candidate of every step, FP-OMP one for every step. As one\n"
        "factorisation, as here, both cost about the same. HBGS and FP-OMP Search choose anew, five at a time.\n\n"
        f"{rivals_table(beside)}\n"
        f"{os.cpu_count()} cores, {torch.get_num_threads()} thread(s) used, load of the machine at the end {load} "
        f"(1, 5, 15 minutes), {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look within half a minute")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=sorted([*PARTS, "rivals"]),
        default=[*PARTS, "rivals"],
        help="some parts only",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write the page, docs/selection.md as a rule"
    )
    arguments = parser.parse_args()
    lines: list[Line] = []
    beside: list[Rivals] = []
    for name in arguments.only:
        if name == "rivals":
            beside = rivals()
            print(rivals_table(beside), flush=True)
            continue
        found = PARTS[name](arguments.quick)
        print(table(found), flush=True)
        lines += found
    if arguments.write:
        arguments.write.write_text(page(lines, beside), encoding="utf-8")


if __name__ == "__main__":
    main()
