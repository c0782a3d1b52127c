"""Cosine similarity of filters."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import alike, checked, normalise_rows
from secateurs.contracts import ArrayT, Factor, Traits
from secateurs.errors import InputError

MOST_IN_A_MATRIX = 1024
"""Filters whose cosines are written out; of more, pairs are found tile by tile."""


@Traits(scale=True, rotation=True)
def cosine(filters: ArrayT, *, decimals: int | None = None) -> ArrayT:
    r"""Signed cosine of each pair of filters: $s_{ij} = p_i^T p_j$ with $p_i = f_i / \lVert f_i \rVert$.

    Signed: opposite filters have -1. A filter of zeros has 0 with every filter, itself included.

    Args:
        filters: One filter a row, shape (n, d).
        decimals: Round the distance $1 - s_{ij}$ to so many decimals, as the published code does
            with 5; None leaves it.

    Returns:
        Shape (n, n), in [-1, 1], exactly symmetric.

    Raises:
        InputError: Not two axes, empty, not finite, or `decimals` outside 0 to 15.

    Cost:
        O(n^2 d), as one matrix product.

    Example:
        >>> import numpy as np
        >>> cosine(np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])) + 0.0
        array([[ 1.,  0., -1.],
               [ 0.,  1.,  0.],
               [-1.,  0.,  1.]])

    References:
        [singh2022passive] A passive similarity based CNN filter pruning, Interspeech 2022.
    """
    check_decimals(decimals)
    directions = normalise_rows(checked(filters, "filters"))
    product = directions @ directions.T
    return alike(rounded((product + product.T) / 2, decimals), filters)


def cosine_likeness(filters: Tensor) -> Tensor | Factor:
    """The cosines of the filters: the matrix of all, or of more than 1,024 filters the rows it is made of.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n, n) as `cosine` gives it, or a `Factor` of the filters divided by their lengths.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n^2 d) for the matrix, O(n d) for the rows.

    Example:
        >>> cosine_likeness(torch.eye(2)).shape, cosine_likeness(torch.ones(1025, 3)).rows.shape
        (torch.Size([2, 2]), torch.Size([1025, 3]))
    """
    if len(filters) <= MOST_IN_A_MATRIX:
        return cosine(filters)
    return Factor(normalise_rows(checked(filters, "filters")), (), 0.0)


def rounded(similarity: Tensor, decimals: int | None) -> Tensor:
    """Clamp cosines to [-1, 1] and round their distances 1 - s.

    Args:
        similarity: Cosines, up to rounding.
        decimals: Digits kept of the distance; None keeps all.

    Returns:
        The same shape.

    Cost:
        O(size).

    Example:
        >>> rounded(torch.tensor([0.9999996], dtype=torch.float64), 5)
        tensor([1.], dtype=torch.float64)
    """
    similarity = similarity.clamp(-1.0, 1.0)
    return similarity if decimals is None else 1.0 - torch.round(1.0 - similarity, decimals=decimals)


def check_decimals(decimals: int | None) -> None:
    """Raise an InputError unless 0 <= decimals <= 15 or None.

    Args:
        decimals: A number of digits.

    Raises:
        InputError: Out of range.

    Example:
        >>> check_decimals(5)
    """
    if decimals is not None and not 0 <= decimals <= 15:
        raise InputError(f"decimals: got {decimals}; give 0 to 15, or None to keep all digits")
