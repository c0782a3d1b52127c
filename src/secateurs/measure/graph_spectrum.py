"""Eigenvector and PageRank centrality of filters in the graph of cosines."""

from __future__ import annotations

from typing import Any

import numpy as np

from secateurs.contracts import ArrayT, FloatArray, Traits
from secateurs.errors import InputError
from secateurs.measure.graph import ask, score


@Traits(scale=True, rotation=True)
def eigenvector_centrality(filters: ArrayT) -> ArrayT:
    r"""Eigenvector centrality: the leading eigenvector of the matrix of cosines.

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
    return score(filters, lambda s: np.round(_weighted(s, "eigenvector_centrality", {"scale": True}), 12))


@Traits(scale=True, rotation=True)
def pagerank(filters: ArrayT, *, damping: float = 0.85) -> ArrayT:
    r"""PageRank: the stationary distribution of a random walk along edges of weight $\max(s_{ij}, 0)$.

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
    return score(filters, lambda s: _weighted(s, "pagerank", {"damping": damping}))


def _weighted(similarity: FloatArray, measure: str, settings: dict[str, Any]) -> FloatArray:
    return ask(similarity, similarity > 0, measure, settings)
