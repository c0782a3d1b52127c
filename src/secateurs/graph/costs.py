"""What a network costs as a function of how many units every group keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from secateurs.contracts import FloatArray, IntArray
from secateurs.graph.groups import Units, marked
from secateurs.graph.labels import Labels


class CostFunction(Protocol):
    """What a network costs when group g keeps keep[g] units (all of them by default)."""

    @property
    def sizes(self) -> IntArray:
        """Units of every group."""
        ...

    def macs(self, keep: IntArray | None = None) -> int:
        """Multiply-adds of one example."""
        ...

    def params(self, keep: IntArray | None = None) -> int:
        """Number of parameters, shared ones once."""
        ...

    def weighted(self, weights: Mapping[str, float], keep: IntArray | None = None) -> float:
        """Sum of the lengths of the parameters, each times a weight of its own (0 where it has none)."""
        ...

    def macs_by_layer(self, keep: IntArray | None = None) -> dict[str, int]:
        """Multiply-adds by the module that spends them."""
        ...

    def macs_per_unit(self, keep: IntArray | None = None) -> FloatArray:
        """Multiply-adds that the next unit of every group to leave takes along, shape (groups,)."""
        ...

    def params_per_unit(self, keep: IntArray | None = None) -> FloatArray:
        """Parameters that the next unit of every group to leave takes along, shape (groups,)."""
        ...

    def macs_by_group(self, terms: IntArray | None = None) -> tuple[FloatArray, dict[str, float]]:
        """Multiply-adds by the group of the channels they make, and the others by layer."""
        ...

    def params_by_group(self) -> tuple[FloatArray, dict[str, float]]:
        """Parameters by the group of the channels they make or carry, and the others by name."""
        ...

    def terms_within(self, groups: np.ndarray) -> np.ndarray:
        """Whether each term of the multiply-adds shrinks with some of these groups (a mask)."""
        ...


@dataclass(frozen=True)
class CostModel:
    """Multiply-adds and parameters as sums of products of axis lengths.

    An axis of the network has `fixed + per_unit @ keep` positions, where `keep` counts the kept units of
    every group; a term is `each` times the lengths of its axes. Exact: lengths are integers. `macs_made` and
    `params_made` are the axes of the channels that a term makes, by which it belongs to groups.
    """

    names: tuple[str, ...]
    sizes: IntArray
    fixed: FloatArray
    per_unit: FloatArray
    macs_each: FloatArray
    macs_axes: IntArray
    params_each: FloatArray
    params_axes: IntArray
    layers: tuple[str, ...]
    macs_made: IntArray
    params_made: IntArray
    params_names: tuple[str, ...]

    def macs(self, keep: IntArray | None = None) -> int:
        """Multiply-adds of one example when group g keeps keep[g] units (all of them by default)."""
        return round(float(self._terms(keep, self.macs_each, self.macs_axes).sum()))

    def params(self, keep: IntArray | None = None) -> int:
        """Number of parameters, shared ones once."""
        return round(float(self._terms(keep, self.params_each, self.params_axes).sum()))

    def weighted(self, weights: Mapping[str, float], keep: IntArray | None = None) -> float:
        """Sum of the lengths of the parameters, each times a weight of its own (0 where it has none)."""
        each = np.array([weights.get(name, 0.0) for name in self.params_names])
        return float(self._terms(keep, self.params_each, self.params_axes) @ each)

    def macs_by_layer(self, keep: IntArray | None = None) -> dict[str, int]:
        """Multiply-adds by the module that spends them."""
        result: dict[str, float] = {}
        for layer, macs in zip(self.layers, self._terms(keep, self.macs_each, self.macs_axes), strict=True):
            result[layer] = result.get(layer, 0.0) + float(macs)
        return {layer: round(macs) for layer, macs in result.items()}

    def macs_per_unit(self, keep: IntArray | None = None) -> FloatArray:
        """Multiply-adds that the next unit of every group to leave takes along, shape (groups,)."""
        return self._saved(keep, self.macs_each, self.macs_axes)

    def params_per_unit(self, keep: IntArray | None = None) -> FloatArray:
        """Parameters that the next unit of every group to leave takes along, shape (groups,)."""
        return self._saved(keep, self.params_each, self.params_axes)

    def macs_by_group(self, terms: IntArray | None = None) -> tuple[FloatArray, dict[str, float]]:
        """Multiply-adds by the group of the channels they make, shape (groups,), and the others by layer.

        A layer whose channels lie in several groups counts in each by its share of them. `terms` chooses some.
        """
        chosen = np.arange(len(self.layers)) if terms is None else terms
        spent = self._terms(None, self.macs_each, self.macs_axes)[chosen]
        shares = self._shares(self.macs_made[chosen])
        others: dict[str, float] = {}
        for i, left in zip(chosen, spent * (1.0 - shares.sum(axis=1)), strict=True):
            others[self.layers[i]] = others.get(self.layers[i], 0.0) + float(left)
        return spent @ shares, {layer: left for layer, left in others.items() if left > 1e-6}

    def params_by_group(self) -> tuple[FloatArray, dict[str, float]]:
        """Parameters by the group of the channels they make or carry, shape (groups,), and the others by name."""
        stored = self._terms(None, self.params_each, self.params_axes)
        shares = self._shares(self.params_made)
        left = stored * (1.0 - shares.sum(axis=1))
        others = {name: float(n) for name, n in zip(self.params_names, left, strict=True) if n > 1e-6}
        return stored @ shares, others

    def terms_within(self, groups: np.ndarray) -> np.ndarray:
        """Whether each term becomes smaller when units of some of these groups (a mask) leave."""
        touched = np.append((self.per_unit[:, groups] > 0).any(axis=1), False)
        return np.asarray(touched[self.macs_axes].any(axis=1))

    def _shares(self, made: IntArray) -> FloatArray:
        """Share of every group in the positions of each axis, shape (axes, groups)."""
        counted = np.vstack([self.per_unit * self.sizes, np.zeros((1, len(self.names)))])
        found: FloatArray = counted[made] / self._lengths(None)[made][:, None]
        return found

    def _lengths(self, keep: IntArray | None) -> FloatArray:
        counts = self.sizes if keep is None else np.asarray(keep)
        return np.append(self.fixed + self.per_unit @ counts.astype(np.float64), 1.0)

    def _terms(self, keep: IntArray | None, each: FloatArray, axes: IntArray) -> FloatArray:
        result: FloatArray = each * self._lengths(keep)[axes].prod(axis=1)
        return result

    def _saved(self, keep: IntArray | None, each: FloatArray, axes: IntArray) -> FloatArray:
        lengths = self._lengths(keep)
        total = np.zeros(len(self.names))
        step = np.vstack([self.per_unit, np.zeros((1, len(self.names)))])
        for column in range(axes.shape[1]):  # first order: the products of two shrinking axes overlap little
            others = np.delete(axes, column, axis=1)
            weight = each * lengths[others].prod(axis=1)
            total += weight @ step[axes[:, column]]
        return total


def make_costs(labels: Labels, units: Units, parameters: Mapping[str, tuple[int, ...]]) -> CostModel:
    """Cost model of a labelled network; `parameters` gives the shape of every parameter, shared ones once."""
    table = _Axes(units)
    first = [i for i, t in enumerate(labels.terms) if t.op.outs]
    macs = [(labels.terms[i].each, [table.index(a) for a in labels.terms[i].arrays]) for i in first]
    producers = _Producers(labels, units)
    macs_made = [producers.place(labels.terms[i].arrays[::-1]) for i in first]
    macs_made = [macs[i][1][::-1][place] if place >= 0 else -1 for i, place in enumerate(macs_made)]
    layers = tuple(labels.terms[i].op.module or labels.terms[i].op.where for i in first)
    params, params_made = [], []
    for name, shape in parameters.items():
        each, axes, arrays = 1.0, [], []
        for axis, size in enumerate(shape):
            start = labels.names.get((name, axis))
            if start is None:
                each *= size
            else:
                arrays.append(np.arange(start, start + size))
                axes.append(table.index(arrays[-1]))
        params.append((each, axes))
        place = producers.place(arrays)
        params_made.append(axes[place] if place >= 0 else -1)
    fixed, per_unit = table.arrays()
    names = tuple(g.name for g in units.groups)
    sizes = np.array([g.size for g in units.groups], dtype=np.int64)
    return CostModel(
        names,
        sizes,
        fixed,
        per_unit,
        *_padded(macs, len(fixed)),
        *_padded(params, len(fixed)),
        layers,
        np.array(macs_made, dtype=np.int64),
        np.array(params_made, dtype=np.int64),
        tuple(parameters),
    )


class _Producers:
    """Finds, among axes, that of the channels a layer makes."""

    def __init__(self, labels: Labels, units: Units) -> None:
        self.units = units
        self.makes, self.reads = (
            marked(labels.producers, labels.count),
            marked(labels.consumers, labels.count),
        )

    def place(self, arrays: Sequence[IntArray]) -> int:
        """The first axis that channels are made on, else the first that carries any of a group; -1: none."""
        real = [a[a >= 0] for a in arrays]
        made = [i for i, a in enumerate(real) if self.makes[a].any()]
        carried = [
            i for i, a in enumerate(real) if (self.units.group[self.units.of[a[~self.reads[a]]]] >= 0).any()
        ]
        return (made or carried or [-1])[0]


class _Axes:
    """Axes met so far, each once."""

    def __init__(self, units: Units) -> None:
        self.units = units
        self.known: dict[bytes, int] = {}
        self.rows: list[tuple[float, FloatArray]] = []
        self.sizes = np.array([g.size for g in units.groups], dtype=np.int64)

    def index(self, atoms: IntArray) -> int:
        real = atoms[atoms >= 0]
        groups = self.units.group[self.units.of[real]]
        counts = np.bincount(groups[groups >= 0], minlength=len(self.sizes))
        per_unit = counts / np.maximum(self.sizes, 1)
        fixed = len(atoms) - int(counts.sum())
        key = np.append(per_unit, fixed).tobytes()
        if key not in self.known:
            self.known[key] = len(self.rows)
            self.rows.append((float(fixed), per_unit))
        return self.known[key]

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        if not self.rows:
            return np.zeros(0), np.zeros((0, len(self.sizes)))
        return np.array([f for f, _ in self.rows]), np.stack([p for _, p in self.rows])


def _padded(terms: Iterable[tuple[float, list[int]]], dummy: int) -> tuple[FloatArray, IntArray]:
    listed = list(terms)
    width = max([len(axes) for _, axes in listed] + [1])
    each = np.array([e for e, _ in listed], dtype=np.float64)
    axes = np.full((len(listed), width), dummy, dtype=np.int64)
    for i, (_, a) in enumerate(listed):
        axes[i, : len(a)] = a
    return each, axes
