"""Selection by nearest-neighbour pairs: one filter of each close pair leaves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from secateurs.arrays import square
from secateurs.contracts import FloatArray, IntArray, Order

Nearest = Callable[[IntArray], tuple[FloatArray, IntArray]]


def nearest_pairs(likeness: FloatArray | Tensor, *, faithful: bool = False) -> Order:
    r"""Greedy over nearest-neighbour pairs, closest pairs first; the ratio emerges.

    With nn(i) the filter most like i and $s_i$ its likeness, visit the filters by falling $s_i$: a
    filter that no earlier one has marked stays and marks nn(i); a marked one leaves and marks
    nothing. So at most half of the filters leave. To go on below that ratio, the rule is applied
    again to those that stayed, until one is left: every smaller set is part of every larger one.

    Args:
        likeness: Shape (n, n), higher is more alike.
        faithful: Take the second smallest distance of each row for that of the nearest other filter, as
            the published code does: of two exact duplicates, the second is then its own neighbour.
            (That code's sort leaves ties open; here they go by index in both cases.)

    Returns:
        All n units in the order in which they are marked. Damage is how much less alike than
        equal the pair is (1 - cosine for a cosine); the last unit has the largest damage seen.
        `own` is how many units the first round removes.

    Raises:
        InputError: Not square, not symmetric, or not finite.

    Cost:
        O(n^2) a round, as one pass over the matrix; O(log n) rounds, of shrinking size.

    Example:
        >>> import numpy as np
        >>> s = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.2], [0.0, 0.2, 1.0]])
        >>> order = nearest_pairs(s)
        >>> order.units, order.own
        ((1, 2, 0), 1)

    References:
        [singh2022passive] A passive similarity based CNN filter pruning, Interspeech 2022.
    """
    matrix = square(likeness, "likeness")
    equal = max(0.0, float(matrix.max()))
    compared = settled(matrix, float(matrix.abs().max())).fill_diagonal_(-torch.inf)

    def nearest(units: IntArray) -> tuple[FloatArray, IntArray]:
        index = torch.from_numpy(units).to(matrix.device)
        if faithful:
            return _second_smallest(settled(1.0 - matrix[index][:, index], 1.0).cpu().numpy())
        best, where = (compared if len(units) == len(matrix) else compared[index][:, index]).max(dim=1)
        return best.cpu().numpy(), where.cpu().numpy()

    return rounds(len(matrix), nearest, equal=equal)


def settled(likeness: Tensor, scale: float) -> Tensor:
    """Round a likeness to 12 digits, so that ties do not depend on how it was computed.

    Args:
        likeness: Any shape.
        scale: The largest size a likeness can have.

    Returns:
        The same shape, a copy.

    Cost:
        O(size).

    Example:
        >>> settled(torch.tensor([1.0, 1.0 + 1e-15], dtype=torch.float64), 1.0)
        tensor([1., 1.], dtype=torch.float64)
    """
    unit = scale or 1.0
    return torch.round(likeness / unit, decimals=12) * unit


def rounds(n: int, nearest: Nearest, *, equal: float, limit: int | None = None) -> Order:
    """Apply the pair rule, round after round, until one unit is left.

    Args:
        n: How many units there are.
        nearest: For some units (their indices, rising), the likeness of each to its nearest among
            them, and the place of that nearest one in the list.
        equal: The likeness of two equal units, from which the damage is counted.
        limit: Stop after so many rounds; None goes on to the end.

    Returns:
        All n units, with damage, `own`, and as partners who marked them.

    Cost:
        O(n log n) beside the calls of `nearest`.

    Example:
        >>> line = np.array([0.0, 1.0, 3.0])
        >>> def nearest(units):
        ...     gaps = np.abs(line[units][:, None] - line[units]) + 9.0 * np.eye(len(units))
        ...     return -gaps.min(axis=1), gaps.argmin(axis=1)
        >>> rounds(3, nearest, equal=0.0).units
        (1, 2, 0)
    """
    units = np.arange(n)
    removed: list[int] = []
    partners: list[int] = []
    damage: list[float] = []
    own = 0
    done = 0
    while len(units) > 1 and (limit is None or done < limit):
        done += 1
        likeness, neighbour = nearest(units)
        marked, at = mark_pairs(likeness, neighbour)
        if not marked:  # a filter that is its own neighbour marks only itself
            break
        removed += units[marked].tolist()
        partners += units[at].tolist()
        damage += [max(0.0, equal - likeness[i]) for i in at]
        own = own or len(removed)
        units = np.delete(units, marked)
    rest = units[::-1].tolist()
    worst = max(damage, default=0.0)
    damage += [worst] * len(rest)
    partners += [-1] * len(rest)
    return Order((*removed, *rest), tuple(damage), own, partners=tuple(partners))


def mark_pairs(likeness: FloatArray, neighbour: IntArray) -> tuple[list[int], list[int]]:
    """Apply one round of the pair rule.

    Args:
        likeness: Of each unit to its nearest, shape (n,).
        neighbour: The nearest of each unit, shape (n,).

    Returns:
        The units that leave, in the order in which they were marked, and who marked each.

    Cost:
        O(n log n).

    Example:
        >>> mark_pairs(np.array([0.9, 0.9, 0.2]), np.array([1, 0, 1]))
        ([1], [0])
    """
    visit = np.argsort(-likeness, kind="stable")
    partner = neighbour.tolist()
    marked_by: dict[int, int] = {}
    kept: set[int] = set()
    for unit in visit.tolist():
        if unit not in marked_by:
            kept.add(unit)
            if partner[unit] not in kept:  # marking a unit that was kept already changes nothing
                marked_by.setdefault(partner[unit], unit)
    return list(marked_by), list(marked_by.values())


def _second_smallest(distance: FloatArray) -> tuple[FloatArray, IntArray]:
    second = np.argsort(distance, axis=1, kind="stable")[:, 1]
    return 1.0 - distance[np.arange(len(distance)), second], second
