"""Filters as the nodes of a graph, in which the central ones are those the others can stand in for.

The graph library is igraph: on 512 filters its weighted betweenness is some hundred times faster
than networkx's, and rustworkx's takes no weights (benchmarks/selection.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, FloatArray, Traits
from secateurs.errors import InputError
from secateurs.measure.cosine import cosine

_FLOOR = 1e-5  # the shortest edge: the papers round cosines to so many digits, and lengths must be positive
_ROUNDING = 1e-9


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
    return _score(filters, lambda s: _paths(s, faithful, "betweenness", {}))


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
    return _score(filters, lambda s: _paths(s, faithful, "closeness", {"normalized": True}))


def eigenvector_centrality(filters: ArrayT) -> ArrayT:
    r"""Leading eigenvector of the matrix of cosines: central is who is like central filters.

    Edges weigh $\max(s_{ij}, 0)$, for unlike filters do not support each other.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), from 0 to 1, the largest 1, to 12 decimals: the iteration's own rounding varies.

    Raises:
        InputError: Not two axes, empty, not finite, or igraph is not installed.

    Cost:
        O(n^2) an iteration.

    Example:
        >>> import numpy as np
        >>> eigenvector_centrality(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])).round(3)
        array([0.707, 1.   , 0.707])

    References:
        [king2023compressing] Compressing audio CNNs with graph centrality based filter pruning,
        WASPAA 2023.
    """
    return _score(filters, lambda s: np.round(_weighted(s, "eigenvector_centrality", {"scale": True}), 12))


def pagerank(filters: ArrayT, *, damping: float = 0.85) -> ArrayT:
    r"""Where a walk along edges of weight $\max(s_{ij}, 0)$ spends its time.

    Args:
        filters: One filter a row, shape (n, d).
        damping: Chance to go on; otherwise the walk starts again anywhere.

    Returns:
        Shape (n,), positive, with sum 1.

    Raises:
        InputError: Not two axes, empty, not finite, damping outside 0 to 1, or igraph is not installed.

    Cost:
        O(n^2) an iteration.

    Example:
        >>> import numpy as np
        >>> pagerank(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])).round(3)
        array([0.257, 0.486, 0.257])

    References:
        [king2023compressing] Compressing audio CNNs with graph centrality based filter pruning,
        WASPAA 2023.
    """
    if not 0 < damping < 1:
        raise InputError(f"damping: got {damping}; give a chance between 0 and 1, such as 0.85")
    return _score(filters, lambda s: _weighted(s, "pagerank", {"damping": damping}))


def _score(filters: ArrayT, of: Callable[[FloatArray], FloatArray]) -> ArrayT:
    tensor = checked(filters, "filters")
    similarity = cosine(tensor).cpu().numpy()
    score = of(similarity) if len(similarity) > 1 else np.zeros(1)
    return alike(torch.from_numpy(score).to(tensor.device), filters)


def _paths(similarity: FloatArray, faithful: bool, measure: str, settings: dict[str, Any]) -> FloatArray:
    from scipy.sparse.csgraph import shortest_path

    length = np.maximum(similarity if faithful else 1.0 - similarity, _FLOOR)
    np.fill_diagonal(length, 0.0)
    shortest = shortest_path(length, method="FW", directed=False)
    return _ask(length, length <= shortest * (1.0 + _ROUNDING), measure, settings)


def _weighted(similarity: FloatArray, measure: str, settings: dict[str, Any]) -> FloatArray:
    return _ask(similarity, similarity > 0, measure, settings)


def _ask(values: FloatArray, edges: NDArray[np.bool_], measure: str, settings: dict[str, Any]) -> FloatArray:
    try:
        import igraph
    except ImportError as missing:
        raise InputError(
            "centrality: needs the graph library igraph; pip install 'secateurs[graph]'"
        ) from missing
    tail, head = np.nonzero(np.triu(edges, 1))
    graph = igraph.Graph(len(values), np.stack([tail, head], axis=1))
    if not len(tail):  # nobody is linked to anybody: all are alike
        return np.full(len(values), 1.0 / len(values))
    return np.asarray(
        getattr(graph, measure)(weights=values[tail, head].tolist(), **settings), dtype=np.float64
    )


@dataclass(frozen=True)
class Betweenness:
    """Worth = minus the number of shortest paths through a filter. See `betweenness`."""

    faithful: bool = False
    traits: ClassVar[Traits] = Traits(scale=True, rotation=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, d) to (n,)."""
        return -betweenness(filters, faithful=self.faithful)


@dataclass(frozen=True)
class Closeness:
    """Worth = minus the closeness to all others. See `closeness`."""

    faithful: bool = False
    traits: ClassVar[Traits] = Traits(scale=True, rotation=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, d) to (n,)."""
        return -closeness(filters, faithful=self.faithful)


@dataclass(frozen=True)
class Eigenvector:
    """Worth = minus the entry in the leading eigenvector. See `eigenvector_centrality`."""

    traits: ClassVar[Traits] = Traits(scale=True, rotation=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, d) to (n,)."""
        return -eigenvector_centrality(filters)


@dataclass(frozen=True)
class PageRank:
    """Worth = minus the time a random walk spends there. See `pagerank`."""

    damping: float = 0.85
    traits: ClassVar[Traits] = Traits(scale=True, rotation=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, d) to (n,)."""
        return -pagerank(filters, damping=self.damping)
