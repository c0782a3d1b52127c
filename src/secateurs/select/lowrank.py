"""Low-rank updates of a symmetric matrix of which few rows are read."""

from __future__ import annotations

import torch
from torch import Tensor

_WIDTH = 64


class Downdated:
    r"""A matrix $M = B + L R^T$ whose updates are gathered in L and R and applied to B together.

    Greedy elimination reads one row and the diagonal a step, so a step costs O(n w) for w gathered
    columns instead of O(n^2), and the n^2 work is done at the speed of matrix products.

    Example:
        >>> m = Downdated(torch.eye(2))
        >>> m.add(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
        >>> m.row(1), m.diagonal
        (tensor([2., 5.]), tensor([2., 5.]))
    """

    def __init__(self, base: Tensor) -> None:
        self._base = base.clone()
        self._left = base.new_empty(_WIDTH, len(base))
        self._right = base.new_empty(_WIDTH, len(base))
        self._pending = 0
        self.diagonal = base.diagonal().clone()

    def row(self, index: int) -> Tensor:
        """Row `index`, shape (n,). O(n w)."""
        if not self._pending:
            return self._base[index].clone()
        left, right = self._left[: self._pending], self._right[: self._pending]
        return torch.addmv(self._base[index], right.T, left[:, index])

    def add(self, left: Tensor, right: Tensor) -> None:
        """Add left right^T, which must be symmetric, or become so with the next call. O(n), n^2 at times."""
        if self._pending == _WIDTH:
            self._base.addmm_(self._left.T, self._right)
            self._pending = 0
        self._left[self._pending] = left
        self._right[self._pending] = right
        self._pending += 1
        self.diagonal += left * right


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of a positive definite matrix by its Cholesky factor.

    Args:
        matrix: Shape (n, n), positive definite.

    Returns:
        Shape (n, n), symmetric.

    Cost:
        O(n^3).

    Example:
        >>> inverse(torch.tensor([[4.0]]))
        tensor([[0.2500]])
    """
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))


def first_smallest(score: Tensor, tolerance: float) -> int:
    """Index of the smallest entry; the first of those that differ by rounding only.

    Args:
        score: Shape (n,).
        tolerance: What counts as rounding, in the unit of the score.

    Returns:
        An index.

    Cost:
        O(n).

    Example:
        >>> first_smallest(torch.tensor([3.0, 1.0 + 1e-6, 1.0]), 1e-5)
        1
    """
    return int((score <= score.min() + tolerance).to(torch.uint8).argmax())
