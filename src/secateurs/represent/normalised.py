"""A filter as its direction, whatever its size."""

from __future__ import annotations

from dataclasses import dataclass, field

from secateurs.arrays import alike, checked, unit_rows
from secateurs.contracts import ArrayT, Represent
from secateurs.represent.flat import Flat


def normalised(filters: ArrayT) -> ArrayT:
    r"""Each row divided by its length: $f_i / \lVert f_i \rVert_2$; rows of zeros stay zero.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n, d), without unit.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n d).

    Example:
        >>> import numpy as np
        >>> normalised(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    return alike(unit_rows(checked(filters, "filters")), filters)


@dataclass(frozen=True)
class Normalised:
    """Another representation with rows of length 1. See `normalised`."""

    of: Represent = field(default_factory=Flat)

    def __call__(self, weights: ArrayT) -> ArrayT:
        """(n, c, t) to (n, d) with unit rows."""
        return normalised(self.of(weights))
