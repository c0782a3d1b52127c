"""First and second moments of rows, which add up: over batches, over files, over machines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.errors import InputError

# Columns of a product at a time: above twice as many, half of a symmetric matrix is worth leaving out.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Sums over rows $r$ of 1, $r$ and $r r^T$, in float64.

    Attributes:
        count: Number of rows.
        first: $\sum r$, shape (g, d): one part of the row for each group of the layer.
        second: $\sum r r^T$, shape (g, d, d).
    """

    count: float
    first: Tensor
    second: Tensor

    @classmethod
    def zeros(cls, groups: int, width: int, device: torch.device | str = "cpu") -> Moments:
        """Moments of no rows.

        Example:
            >>> Moments.zeros(1, 3).second.shape
            torch.Size([1, 3, 3])
        """
        kind = torch.float64
        first = torch.zeros(groups, width, dtype=kind, device=device)
        return cls(0.0, first, torch.zeros(groups, width, width, dtype=kind, device=device))

    @classmethod
    def of(cls, rows: Tensor) -> Moments:
        r"""Moments of rows (n, g, d), or (n, d) for one group.

        Products of what is left of rows without their mean run in the precision of `rows`, at least float32, all else
        in float64.

        Raises:
            InputError: NaN or infinite rows.

        Cost:
            O(n g d^2).

        Example:
            >>> Moments.of(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).mean()
            tensor([[2., 3.]], dtype=torch.float64)
        """
        if rows.dim() == 2:
            rows = rows[:, None]
        if rows.dtype in (torch.float16, torch.bfloat16):
            rows = rows.float()
        parts = rows.transpose(0, 1)
        mean = parts.mean(1, keepdim=True) if len(rows) else parts.new_zeros(len(parts), 1, parts.shape[2])
        centred = parts - mean  # rounding is in proportion to the squares, and means are most of them
        second, rest, mean = _squares(centred), centred.sum(1, dtype=torch.float64)[:, None], mean.double()
        second.baddbmm_(mean.mT, rest + len(rows) * mean).baddbmm_(rest.mT, mean)
        if not bool(torch.isfinite(second.diagonal(dim1=1, dim2=2)).all()):
            raise InputError(
                "data: activations are NaN or infinite on these samples; check the normalisation of the input "
                "and the weights"
            )
        return cls(float(len(rows)), (rest + len(rows) * mean)[:, 0], second)

    def __add__(self, other: Moments) -> Moments:
        if self.second.shape != other.second.shape:
            raise InputError(
                f"moments: shapes {tuple(self.second.shape)} and {tuple(other.second.shape)} cannot be merged; "
                "both must come from the same layer"
            )
        return Moments(self.count + other.count, self.first + other.first, self.second + other.second)

    def mean(self) -> Tensor:
        """E[r], shape (g, d)."""
        return self.first / max(self.count, 1.0)

    def gram(self) -> Tensor:
        """E[r r^T], shape (g, d, d)."""
        return self.second / max(self.count, 1.0)

    def covariance(self) -> Tensor:
        """E[r r^T] - E[r] E[r]^T, shape (g, d, d)."""
        mean = self.mean()
        return self.gram() - mean[:, :, None] * mean[:, None, :]

    def augmented(self) -> Tensor:
        """E[s s^T] of s = (r, 1), shape (g, d + 1, d + 1): the moments of a row with a constant."""
        mean = self.mean()[:, :, None]
        top = torch.cat([self.gram(), mean], 2)
        bottom = torch.cat([mean.transpose(1, 2), torch.ones_like(mean[:, :1])], 2)
        return torch.cat([top, bottom], 1)


def _squares(parts: Tensor) -> Tensor:
    """Sums of r r^T over rows (g, n, d), float64; of wide ones only what lies right of the diagonal is computed."""
    width = parts.shape[2]
    if width <= 2 * _BLOCK:
        return torch.matmul(parts.transpose(1, 2), parts).double()
    found = parts.new_empty(len(parts), width, width, dtype=torch.float64)
    for start in range(0, width, _BLOCK):
        stop = min(start + _BLOCK, width)
        found[:, start:stop, start:] = torch.matmul(
            parts[:, :, start:stop].transpose(1, 2), parts[:, :, start:]
        )
        found[:, stop:, start:stop] = found[:, start:stop, stop:].transpose(1, 2)
    return found
