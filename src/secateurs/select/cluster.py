"""Hierarchical clustering of units; each cluster keeps one representative."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.cluster import hierarchy
from torch import Tensor

from secateurs.arrays import checked, square
from secateurs.contracts import FloatArray, Order
from secateurs.errors import InputError

Linkage = Literal["average", "complete", "single"]


def cluster(
    distances: FloatArray | Tensor,
    *,
    worth: FloatArray | Tensor | None = None,
    linkage: Linkage = "average",
    threshold: float | None = None,
    relative: bool = False,
) -> Order:
    r"""Hierarchical clustering; a merge removes the representative of one of the two clusters.

    Clusters only merge as the threshold $\tau$ rises, so all keep-sets nest; cutting at any $\tau$ keeps the
    worthiest unit of each cluster.

    Args:
        distances: Shape (n, n); the diagonal is not looked at. See `channel_distances`.
        worth: Shape (n,): of two representatives the worthier stays ($|\gamma|$ for channels). None keeps the
            one nearer to the middle of the merged cluster: with the smaller sum of distances to its members. Ties go to
            the lower index.
        linkage: Distance of two clusters: the mean, largest or smallest of the distances between
            their members.
        threshold: $\tau$; `own` counts the merges up to it. None sets no `own`.
        relative: Divide the distances by their mean off the diagonal first, so that layers become comparable.

    Returns:
        All n units, with the representative that stays as partner. Damage is the height of the merge, not falling; the
        last unit has the largest.

    Raises:
        InputError: Not square, not symmetric, not finite, negative, an unknown linkage, or sizes
            that differ.

    Cost:
        O(n^2) for the linkage, and O(n^2) for the representatives.

    Example:
        >>> import numpy as np
        >>> x = np.array([0.0, 1.0, 5.0])
        >>> order = cluster(np.abs(x[:, None] - x), worth=np.array([1.0, 2.0, 3.0]), threshold=2.0)
        >>> order.units, order.damage, order.own
        ((0, 1, 2), (1.0, 4.5, 4.5), 1)

    References:
        [zhang2019channel] [zhao2023exploiting] Exploiting channel similarity for network pruning.
    """
    tensor = square(distances, "distances")
    matrix = (tensor / _mean_off_diagonal(tensor) if relative else tensor).cpu().numpy()
    n = len(matrix)
    if float(matrix.min()) < 0:
        raise InputError(f"distances: found {matrix.min():.4g}; distances are not negative")
    if linkage not in get_args(Linkage):
        raise InputError(f"linkage: got {linkage!r}; give one of {', '.join(get_args(Linkage))}")
    value = None if worth is None else checked(worth, "worth", ndim=1).cpu().numpy()
    if value is not None and len(value) != n:
        raise InputError(f"worth: {len(value)} units, but distances have {n}; take both from one group")
    if n == 1:
        return Order((0,), (0.0,), None if threshold is None else 0, partners=(-1,))
    heights, units, partners = _merge(matrix, value, linkage)
    own = None if threshold is None else int(np.sum(np.asarray(heights) <= threshold))
    last = set(range(n)) - set(units)
    return Order((*units, *last), (*heights, heights[-1]), own, partners=(*partners, -1))


def _merge(
    matrix: FloatArray, worth: FloatArray | None, linkage: str
) -> tuple[list[float], list[int], list[int]]:
    """Heights of the merges, the representative that each removes, and the one that stays for it."""
    n = len(matrix)
    symmetric = (matrix + matrix.T) / 2
    tree = hierarchy.linkage(symmetric[np.triu_indices(n, 1)], method=linkage)
    members: dict[int, list[int]] = {i: [i] for i in range(n)}
    representative = {i: i for i in range(n)}
    units: list[int] = []
    partners: list[int] = []
    for step, (left, right) in enumerate(tree[:, :2].astype(np.int64).tolist()):
        merged = members.pop(left) + members.pop(right)
        pair = sorted((representative.pop(left), representative.pop(right)))
        rank = worth[pair] if worth is not None else -(symmetric[np.ix_(pair, merged)].sum(axis=1))
        if worth is None:  # a unit's distance to itself is 0, whatever the diagonal says
            rank = rank + symmetric[pair, pair]
        stays = pair[0] if rank[0] >= rank[1] else pair[1]
        units.append(pair[1] if stays == pair[0] else pair[0])
        partners.append(stays)
        members[n + step], representative[n + step] = merged, stays
    heights = np.maximum.accumulate(tree[:, 2]).tolist()
    return heights, units, partners


def _mean_off_diagonal(matrix: Tensor) -> float:
    """Mean of the entries off the diagonal; 1 where there is none or it is 0."""
    n = len(matrix)
    mean = float(matrix.sum() - matrix.diagonal().sum()) / max(1, n * (n - 1))
    return mean if mean > 0 else 1.0
