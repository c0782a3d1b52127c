"""Groups whose loss the outputs feel least give first, for what they save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from secateurs.allocate.sequence import merge_by_time, removable
from secateurs.contracts import FloatArray, IntArray, Ranking
from secateurs.errors import InputError

Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Sensitivity:
    r"""Units leave by rising damage per saved cost, from damage measured at several levels.

    For group g, $D_g(k)$ is the measured damage with k units gone. Its lower convex hull makes rates
    $D_g(k + 1) - D_g(k)$ that only rise; divided by what a unit saves (its share of all multiply-adds, of all
    parameters, or a blend), they give the times. For damages that add up, every prefix is then the best split of
    its cost (the solution for one Lagrange multiplier).

    Args:
        curves: (units gone, damage) at some levels, by group, as `survey` measures them. Between levels the root
            of the damage is interpolated; groups without a curve stay whole.
        blend: What a unit saves is (1 - blend) times its share of MACs plus blend times its share of parameters.
        saved: What a unit of each group saves instead, shape (groups,).

    Raises:
        InputError: A damage that is negative or not finite, or a blend outside [0, 1].

    Example:
        >>> Sensitivity({"conv1": ((1, 0.0), (2, 0.5))}).curves["conv1"]
        ((1, 0.0), (2, 0.5))
    """

    curves: Mapping[str, Curve] = field(default_factory=dict)
    blend: float = 0.0
    saved: FloatArray | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.blend <= 1:
            raise InputError(f"blend is {self.blend}; give a share in [0, 1].")
        for name, curve in self.curves.items():
            if any(not (np.isfinite(d) and d >= 0) for _, d in curve):
                raise InputError(f"sensitivity of '{name}': damages must be finite and not negative.")

    @property
    def needs_data(self) -> bool:
        """Whether the curves are still to be measured."""
        return not self.curves

    def __call__(self, ranking: Ranking) -> IntArray:
        """Cost O(N log N) for N units."""
        saved = self._blended(ranking) if self.saved is None else self.saved
        times: dict[int, FloatArray] = {}
        for index, group in enumerate(ranking.graph.groups):
            if group.name in ranking.orders and group.name in self.curves:
                steps = removable(ranking.orders[group.name])
                damage = convex(self.curves[group.name], group.size)
                times[index] = (np.diff(damage) / max(float(saved[index]), 1e-12))[:steps]
        return merge_by_time(times)

    def _blended(self, ranking: Ranking) -> FloatArray:
        costs = ranking.graph.costs
        macs = costs.macs_per_unit() / max(1, costs.macs())
        params = costs.params_per_unit() / max(1, costs.params())
        blended: FloatArray = (1 - self.blend) * macs + self.blend * params
        return blended

    def weighing(self, saved: FloatArray) -> Sensitivity:
        """The same where the next unit of group g saves saved[g]."""
        return replace(self, saved=saved)

    def lost(self, ranking: Ranking, counts: IntArray) -> float:
        """The damage where every group keeps so many units, by the convex curves."""
        return float(
            sum(
                convex(self.curves[group.name], group.size)[group.size - int(counts[index])]
                for index, group in enumerate(ranking.graph.groups)
                if group.name in self.curves
            )
        )


def convex(curve: Curve, size: int) -> FloatArray:
    """Damage with 0..size units gone: measured levels, the root interpolated, and the lower convex hull of it.

    Beyond the last level the root rises on as it did before it, or as it did on the whole if that is steeper.

    Returns:
        Shape (size + 1,), non-decreasing and convex, 0 with nothing gone.

    Example:
        >>> convex(((4, 4.0),), 4).tolist()
        [0.0, 0.25, 1.0, 2.25, 4.0]
    """
    at = np.array([0] + [k for k, _ in curve if k > 0])
    root = np.sqrt(np.maximum.accumulate(np.array([0.0] + [d for k, d in curve if k > 0])))
    if len(at) > 1 and at[-1] < size:  # what was not measured does not come for free
        rise = max((root[-1] - root[-2]) / (at[-1] - at[-2]), root[-1] / at[-1])
        at, root = np.append(at, size), np.append(root, root[-1] + rise * (size - at[-1]))
    values = np.interp(np.arange(size + 1), at, root) ** 2
    hull = [0]
    for k in range(1, size + 1):
        while len(hull) > 1 and _above(hull[-2], hull[-1], k, values):
            hull.pop()
        hull.append(k)
    result: FloatArray = np.interp(np.arange(size + 1), hull, values[hull])
    return result


def _above(a: int, b: int, c: int, values: FloatArray) -> bool:
    """Whether point b lies on or above the line from a to c."""
    return bool((values[b] - values[a]) * (c - a) >= (values[c] - values[a]) * (b - a))
