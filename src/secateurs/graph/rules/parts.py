"""Parts of the channels: slices and splits, read as shares, as widths from elsewhere, or as numbers in the code."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from secateurs.graph.labels import Follow, Labels
from secateurs.graph.program import Op
from secateurs.graph.rules.movement import moved

Rule = Callable[[Labels, Op], None]
_FINEST = 8
"""Parts into which a slice may divide the channels where its ends are shares of them (a quarter, three eighths)."""


def _select(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    dim, index = int(op.args[1]) % len(axes), int(op.args[2])
    array = axes.pop(dim)
    if isinstance(array, np.ndarray):  # later channels may leave, the number in the code stays right
        labels.lock(array[: index + 1] if index >= 0 else array[index:], f"is picked by number in {op}")
        labels.doubt([array])
    moved(labels, op, axes)


def _slice(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    dim = int(op.arg(1, "dim", 0) or 0) % len(axes)
    start, end, step = op.arg(2, "start"), op.arg(3, "end"), int(op.arg(4, "step", 1) or 1)
    array = axes[dim]
    if isinstance(array, np.ndarray):
        axes[dim] = read_slice(labels, op, array, slice(start, end, step))
    moved(labels, op, axes)
    if op.outs[0] is not None:
        labels.slices[op.outs[0]] = (op.args[0], dim, slice(start, end, step))


def read_slice(labels: Labels, op: Op, array: np.ndarray, cut: slice) -> np.ndarray:
    """Read a slice as a share of the channels first, then as widths or numbers from elsewhere, then not at all."""
    n = len(array)
    start, end, step = cut.indices(n)
    taken = array[cut]
    if len(taken) == n:
        return taken
    size, part = end - start, math.gcd(start, end, n)
    plain = step == 1
    shares = plain and size > 1 and n % size == 0 and start % size == 0
    counted = labels.following(op, [(taken, 1), (array, 1)]) if shares else []
    bounds = [array[:at] for at in (start, end) if 0 < at < n]
    named = _named(labels, op, bounds) if plain else []
    readings = [
        *["shares"] * shares,
        *["by attribute"] * bool(named),
        *["counted"] * bool(counted),
        *["blocks"] * (step > 1 and n % step == 0),
        *["by another width"] * plain,
        *["finer shares"] * (plain and not shares and part > 1 and n // part <= _FINEST),
        *["literal"] * plain,
        "locked",
    ]
    reading = readings[labels.choose(readings, [array])]
    if reading in ("shares", "counted"):
        labels.tie(array.reshape(n // size, size).T, op)
        labels.follows.extend(counted if reading == "counted" else [])
    elif reading == "blocks":
        labels.tie(array.reshape(-1, step), op)
    elif reading == "by attribute":
        labels.follows.extend(named)
    elif reading == "finer shares":
        labels.tie(array.reshape(n // part, part).T, op)
    elif reading in ("literal", "locked"):
        reason = f"is cut out by number in {op}"
        if reading == "locked":
            labels.lock(array, reason)
        elif cut.start is not None and cut.start < 0:
            labels.lock(array[cut.start :], reason)
        else:
            labels.lock(array[: end if end < n else start], reason)
    return taken


def _named(labels: Labels, op: Op, parts: list[np.ndarray]) -> list[Follow]:
    """Attributes of the module that hold the lengths of the parts; none unless every part has one."""
    found = [labels.following(op, [(part, 1)]) for part in parts]
    return [follow for follows in found for follow in follows] if all(found) else []


def _narrow(labels: Labels, op: Op) -> None:
    axes = list(labels.of(op.args[0]))
    dim = int(op.args[1]) % len(axes)
    array = axes[dim]
    cut = slice(int(op.args[2]), int(op.args[2]) + int(op.args[3]))
    if isinstance(array, np.ndarray):
        axes[dim] = read_slice(labels, op, array, cut)
    moved(labels, op, axes)
    if op.outs[0] is not None:
        labels.slices[op.outs[0]] = (op.args[0], dim, cut)


def _parts(labels: Labels, op: Op) -> None:
    """chunk, split: equal parts lose the same positions; unequal ones keep their sizes."""
    axes = list(labels.of(op.args[0]))
    position = 2 if len(op.args) > 2 else -1
    dim = int(op.args[position] if position > 0 else op.kwargs.get("dim", 0)) % len(axes)
    outs = [out for out in op.outs if out is not None]
    sizes = [out.shape[dim] for out in outs]
    array = axes[dim]
    if isinstance(array, np.ndarray) and len(outs) > 1:
        _read_parts(labels, op, array, sizes)
    offset = 0
    for out, size in zip(outs, sizes, strict=True):
        piece = array[offset : offset + size] if isinstance(array, np.ndarray) else array
        moved(labels, op, [piece if i == dim else a for i, a in enumerate(axes)], out)
        offset += size


def _read_parts(labels: Labels, op: Op, array: np.ndarray, sizes: list[int]) -> None:
    """Equal shares of any width; else sizes that the code takes from attributes; else numbers in the code."""
    equal = len(set(sizes)) == 1
    bounds = np.cumsum([0, *sizes])
    listed = _listed(labels, op, [array[a:b] for a, b in pairwise(bounds)])
    counted = labels.following(op, [(array[: sizes[0]], 1), (array, 1)]) if equal else []
    named = [] if equal else _named(labels, op, [array[a:b] for a, b in pairwise(bounds)])
    readings = [
        *["shares"] * equal,
        *["counted"] * bool(counted),
        *["listed"] * bool(listed),
        *["by attributes"] * bool(named),
        "by other widths",
        "locked",
    ]
    reading = readings[labels.choose(readings, [array])]
    if reading == "locked":
        labels.lock(array, f"is split into parts of fixed size in {op}")
    if reading in ("shares", "counted"):
        labels.tie(array.reshape(len(sizes), -1).T, op)
    labels.follows.extend({"listed": listed, "counted": counted, "by attributes": named}.get(reading, []))


def _listed(labels: Labels, op: Op, parts: list[np.ndarray]) -> list[Follow]:
    """A list of the module that holds the sizes of the parts: each entry can follow its part."""
    numbers = labels.numbers.get(op.module, {})
    for name in {key.partition(".")[0]: None for key in numbers if "." in key}:
        keys = [key for key in numbers if key.startswith(f"{name}.")]
        if [numbers[key] for key in keys] == [len(part) for part in parts]:
            return [Follow(op.module, key, part, 1) for key, part in zip(keys, parts, strict=True)]
    return []


RULES: dict[str, Rule] = {
    "select": _select,
    "slice": _slice,
    "narrow": _narrow,
    "parts": _parts,
}
