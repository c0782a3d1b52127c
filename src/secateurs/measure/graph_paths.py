"""Betweenness and closeness centrality of filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.csgraph import shortest_path

from secateurs.contracts import ArrayT, FloatArray, Traits
from secateurs.measure.graph import ask, score

_FLOOR = 1e-5  # the shortest edge: the papers round cosines to so many digits, and lengths must be positive
_ROUNDING = 1e-9


@Traits(scale=True, rotation=True)
def betweenness(filters: ArrayT, *, faithful: bool = False) -> ArrayT:
    r"""Share of the shortest paths between other filters that run through each filter.

    $BC(v) = \sum_{s \ne v \ne t} \sigma_{st}(v) / \sigma_{st}$, each pair counted once, in the
    complete graph whose edges have length $\max(1 - s_{ij}, 10^{-5})$ for cosines $s_{ij}$.

    Only the edges that are shortest paths themselves can lie on one; the others are left out first.

    Args:
        filters: One filter a row, shape (n, d).
        faithful: Use the cosine itself as the length, as the published code does, so that paths run
            through *unlike* filters; negative ones, which no shortest-path search is defined
            for, count as $10^{-5}$.

    Returns:
        Shape (n,), number of pairs.

    Raises:
        InputError: Not two axes, empty, not finite, or igraph is not installed.

    Cost:
        O(n^3) for the shortest distances, then O(n e) for the e edges left (about n^1.6 seen).

    Example:
        >>> import numpy as np
        >>> angle = np.array([0.0, 0.5, 1.0])
        >>> betweenness(np.stack([np.cos(angle), np.sin(angle)], axis=1))
        array([0., 1., 0.])

    References:
        [king2023compressing] Compressing audio CNNs with graph centrality based filter pruning,
        WASPAA 2023. [brandes2001faster] for the algorithm.
    """
    return score(filters, lambda s: _paths(s, faithful, "betweenness", {}))


@Traits(scale=True, rotation=True)
def closeness(filters: ArrayT, *, faithful: bool = False) -> ArrayT:
    r"""Inverse of the mean shortest distance to all other filters: $(n - 1) / \sum_j d(i, j)$.

    The graph is that of `betweenness`.

    Args:
        filters: One filter a row, shape (n, d).
        faithful: Use the cosine itself as the length. See `betweenness`.

    Returns:
        Shape (n,), 0 where there is one filter only.

    Raises:
        InputError: Not two axes, empty, not finite, or igraph is not installed.

    Cost:
        O(n^3).

    Example:
        >>> import numpy as np
        >>> closeness(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])).round(3)
        array([1., 2., 2.])

    References:
        [king2023compressing] Compressing audio CNNs with graph centrality based filter pruning,
        WASPAA 2023.
    """
    return score(filters, lambda s: _paths(s, faithful, "closeness", {"normalized": True}))


def _paths(similarity: FloatArray, faithful: bool, measure: str, settings: dict[str, Any]) -> FloatArray:
    length = np.maximum(similarity if faithful else 1.0 - similarity, _FLOOR)
    np.fill_diagonal(length, 0.0)
    shortest = shortest_path(length, method="FW", directed=False)
    return ask(length, length <= shortest * (1.0 + _ROUNDING), measure, settings)
