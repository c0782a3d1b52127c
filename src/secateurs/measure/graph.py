"""The graph of cosines between filters, and its centralities by igraph.

The graph library is igraph: on 512 filters its weighted betweenness is some hundred times faster
than networkx's, and rustworkx's takes no weights (benchmarks/selection.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, FloatArray
from secateurs.errors import InputError
from secateurs.measure.cosine import cosine


def score(filters: ArrayT, of: Callable[[FloatArray], FloatArray]) -> ArrayT:
    """Compute a centrality of the filters from their cosines (n, n); 0 for a single filter.

    Args:
        filters: One filter a row, shape (n, d).
        of: From cosines (n, n) to (n,).

    Returns:
        Shape (n,).

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n^2 d), and that of the function.

    Example:
        >>> score(np.eye(2), lambda s: s.sum(axis=1))
        array([1., 1.])
    """
    tensor = checked(filters, "filters")
    similarity = cosine(tensor).cpu().numpy()
    score = of(similarity) if len(similarity) > 1 else np.zeros(1)
    return alike(torch.from_numpy(score).to(tensor.device), filters)


def ask(values: FloatArray, edges: NDArray[np.bool_], measure: str, settings: dict[str, Any]) -> FloatArray:
    """Compute an igraph centrality of the graph with these weighted edges.

    Args:
        values: Weights, shape (n, n).
        edges: Which of them are edges, shape (n, n), symmetric.
        measure: The name of igraph's method.
        settings: Its further arguments.

    Returns:
        Shape (n,); all the same where there are no edges.

    Raises:
        InputError: igraph is not installed.

    Cost:
        That of the method.

    Example:
        >>> path = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0.0]])
        >>> ask(path, path > 0, "betweenness", {})
        array([0., 1., 0.])
    """
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
