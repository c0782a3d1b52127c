"""Euclidean distances between filters, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK = 2**24  # entries of one block of rows: 128 MiB
_CANCELS = 1e-5  # squared distances this small beside the norms have lost digits


def distance_blocks(filters: Tensor) -> Iterator[tuple[int, Tensor]]:
    r"""Row blocks of the distance matrix $D_{ij} = \lVert f_i - f_j \rVert_2$, so that n x n need never be held.

    One matrix product gives $\lVert f_i \rVert^2 + \lVert f_j \rVert^2 - 2 f_i^T f_j$ about the mean
    filter; the few pairs where that cancels are subtracted entry by entry, so equal filters have
    distance exactly 0.

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
