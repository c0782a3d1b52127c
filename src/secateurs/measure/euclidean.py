"""How far apart filters lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits

_BLOCK = 2**24  # entries of one block of rows: 128 MiB
_CANCELS = 1e-5  # squared distances this small beside the norms have lost digits


def euclidean_distances(filters: ArrayT) -> ArrayT:
    r"""Distance of each pair of filters: $D_{ij} = \lVert f_i - f_j \rVert_2$.

    One matrix product gives $\lVert f_i \rVert^2 + \lVert f_j \rVert^2 - 2 f_i^T f_j$ about the mean
    filter; the few pairs where that cancels are subtracted entry by entry, so equal filters have
    distance exactly 0.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n, n), in the unit of the weights, symmetric, zeros on the diagonal.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n^2 d), as one matrix product.

    Example:
        >>> import numpy as np
        >>> euclidean_distances(np.array([[0.0, 0.0], [3.0, 4.0]]))
        array([[0., 5.],
               [5., 0.]])
    """
    tensor = checked(filters, "filters")
    distances = torch.cat([block for _, block in distance_blocks(tensor)])
    return alike((distances + distances.T) / 2, filters)


def distance_blocks(filters: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Row blocks of the distance matrix, so that n x n need never be held.

    Args:
        filters: Shape (n, d), float64.

    Yields:
        The index of the first row, and the distances of some rows to all filters.

    Cost:
        O(n^2 d) time, O(n d + 2^24) memory.

    Example:
        >>> [tuple(block.shape) for _, block in distance_blocks(torch.zeros(3, 2, dtype=torch.float64))]
        [(3, 3)]
    """
    centred = filters - filters.mean(dim=0)
    squares = (centred * centred).sum(dim=1)
    rows = max(1, _BLOCK // len(filters))
    for start in range(0, len(filters), rows):
        part = slice(start, start + rows)
        norms = squares[part, None] + squares[None, :]
        block = torch.addmm(norms, centred[part], centred.T, alpha=-2.0)
        _subtract_entrywise(block, norms, filters, start)
        yield start, block.clamp_(min=0.0).sqrt_()


def _subtract_entrywise(block: Tensor, norms: Tensor, filters: Tensor, start: int) -> None:
    pairs = (block <= _CANCELS * norms).nonzero()
    for some in torch.split(pairs, max(1, _BLOCK // filters.shape[1])):
        i, j = some.unbind(dim=1)
        block[i, j] = (filters[start + i] - filters[j]).square().sum(dim=1)


@dataclass(frozen=True)
class Euclidean:
    """Likeness = minus the distance. See `euclidean_distances`."""

    traits: ClassVar[Traits] = Traits(scale=True, shift=True, rotation=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, d) to (n, n)."""
        return -euclidean_distances(filters)
