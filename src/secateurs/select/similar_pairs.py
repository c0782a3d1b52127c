"""Selection by the most similar pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from secateurs.arrays import square
from secateurs.contracts import FloatArray, Order
from secateurs.select.nearest_pairs import settled


def most_similar_pair(likeness: FloatArray | Tensor, *, threshold: float | None = None) -> Order:
    r"""Remove one unit of the most similar remaining pair, until one unit is left.

    Of the pair (i, j) the one leaves whose second-best likeness to what is left is larger, for it is
    the more redundant; ties go to the larger index. Of equally alike pairs the first one is taken. Likeness is
    compared to 12 digits.

    Args:
        likeness: Shape (n, n), higher is more alike.
        threshold: $\tau$, below which a pair is not alike enough: `own` counts the removals down to
            it. None sets no `own`.

    Returns:
        All n units, with the other one of the pair as partner. Damage is how much less alike than equal the pair was;
        the last unit has the largest damage seen.

    Raises:
        InputError: Not square, not symmetric, or not finite.

    Cost:
        O(n^2 log n) to sort the neighbours once, then O(n^2) in all.

    Example:
        >>> import numpy as np
        >>> q = np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.5], [0.1, 0.5, 1.0]])
        >>> order = most_similar_pair(q, threshold=0.8)
        >>> order.units, order.own
        ((1, 2, 0), 1)

    References:
        [wang2022qsfm] QSFM: model pruning based on quantified similarity between feature maps for AI
        on edge, IEEE Internet of Things Journal 2022 (abstract; the pair rule is a reading).
    """
    matrix = square(likeness, "likeness")
    q = settled(matrix, float(matrix.abs().max())).cpu().numpy()
    n, equal = len(q), max(0.0, float(q.max()))
    np.fill_diagonal(q, -np.inf)
    neighbours = np.argsort(-q, axis=1, kind="stable")
    first = np.zeros(n, dtype=np.int64)  # how far each unit's neighbours have been used up
    alive = np.ones(n, dtype=bool)
    rows = np.arange(n)
    units: list[int] = []
    partners: list[int] = []
    damage: list[float] = []
    own = 0
    for _ in range(n - 1):
        stale = rows[alive & ~alive[neighbours[rows, first]]]
        while len(stale):  # every step uses up one neighbour for good
            first[stale] += 1
            stale = stale[~alive[neighbours[stale, first[stale]]]]
        best = np.where(alive, q[rows, neighbours[rows, first]], -np.inf)
        i = int(best.argmax())
        j = int(neighbours[i, first[i]])
        second_i, second_j = _second(q[i], alive, j), _second(q[j], alive, i)
        gone = max(i, j) if second_i == second_j else i if second_i > second_j else j
        own += int(threshold is not None and best[i] >= threshold)
        alive[gone] = False
        units.append(gone)
        partners.append(i + j - gone)
        damage.append(max(0.0, equal - float(best[i])))
    units += rows[alive].tolist()
    worst = max(damage, default=0.0)
    return Order(tuple(units), (*damage, worst), None if threshold is None else own, partners=(*partners, -1))


def _second(row: FloatArray, alive: NDArray[np.bool_], partner: int) -> float:
    others = np.where(alive, row, -np.inf)
    others[partner] = -np.inf
    return float(others.max())
