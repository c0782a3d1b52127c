r"""Stand-ins: every removed unit written as a constant plus a combination of those that stay.

$x_j \approx c_j + \sum_k B_{jk} x_k$. What read unit j then reads the stand-ins, with the weights
$W'_k = W_k + \sum_j B_{jk} W_j$, and the constant goes into the bias. These see matrices only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from secateurs.compensate.refit import refit


class StandIn(NamedTuple):
    """What removed units are replaced by: B (r, k), c (r,), and the share of them that this leaves, where known."""

    mix: Tensor
    constant: Tensor
    left: float | None = None


def by_mean(mean: Tensor, gone: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Each removed unit is its mean: B = 0, c = E[x_j].

    Args:
        mean: E[x], shape (n,).
        gone: Indices of the removed units, shape (r,).
        kept: Indices of the others, shape (k,).

    Returns:
        B of shape (r, k), c of shape (r,).

    Example:
        >>> by_mean(torch.tensor([1.0, 2.0]), torch.tensor([1]), torch.tensor([0]))
        (tensor([[0.]]), tensor([2.]))
    """
    return mean.new_zeros(len(gone), len(kept)), mean[gone]


def by_nearest(mean: Tensor, covariance: Tensor, gone: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    r"""Each removed unit is a multiple of the one it is most correlated with, plus a constant.

    $k = \arg\max_l C_{jl}^2 / C_{ll}$, $B_{jk} = C_{jk} / C_{kk}$, $c_j = E x_j - B_{jk} E x_k$, which leaves the
    least variance of all single stand-ins. Constant units stand in for nothing.

    Returns:
        B of shape (r, k), c of shape (r,).

    Cost:
        O(r k).

    Example:
        >>> c = torch.tensor([[4.0, 2.0], [2.0, 1.0]])
        >>> by_nearest(torch.zeros(2), c, torch.tensor([1]), torch.tensor([0]))
        (tensor([[0.5000]]), tensor([0.]))
    """
    size = covariance.diagonal()[kept]
    live = size > 1e-12 * covariance.diagonal().max().clamp_min(1e-300)
    cross = covariance[gone][:, kept]
    gain = torch.where(live, cross.square() / torch.where(live, size, 1.0), torch.full_like(cross, -1.0))
    best = gain.argmax(1, keepdim=True)
    factor = torch.where(live[best], cross.gather(1, best) / torch.where(live, size, 1.0)[best], 0.0)
    mix = torch.zeros_like(cross).scatter_(1, best, factor)
    return mix, mean[gone] - mix @ mean[kept]


def by_all(
    mean: Tensor, gram: Tensor, gone: Tensor, kept: Tensor, *, ridge: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """Each removed unit is its best combination of all that stay, plus a constant.

    Args:
        mean: E[x], shape (n,).
        gram: E[x x^T], shape (n, n).
        gone: Removed units.
        kept: The others.
        ridge: As for `refit`.

    Returns:
        B of shape (r, k), c of shape (r,).

    Cost:
        O(k^3 + k^2 r).

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [2.0, 4.0], [4.0, 8.0]]).double()
        >>> b, c = by_all(x.mean(0), x.T @ x / 3, torch.tensor([1]), torch.tensor([0]))
        >>> round(float(b), 3), abs(round(float(c), 3))
        (2.0, 0.0)
    """
    top = torch.cat([gram[kept][:, kept], mean[kept][:, None]], 1)
    system = torch.cat([top, torch.cat([mean[kept], mean.new_ones(1)])[None]])
    right = torch.cat([gram[kept][:, gone], mean[gone][None]])
    start = mean.new_zeros(1, len(gone), len(kept))
    mix, constant = refit(system[None], right[None], start, ridge=ridge)
    return mix[0], constant[0]


def merged(
    weights: Tensor, mix: Tensor, constant: Tensor, gone: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Weights of a layer that reads stand-ins, and what its bias gains.

    Args:
        weights: W by unit: outputs o, units n and t columns a unit, shape (o, n, t).
        mix: B, shape (r, k).
        constant: c, shape (r,).
        gone: Removed units.
        kept: The others.

    Returns:
        $W'$ of shape (o, k, t) and $\sum_j c_j \sum_t W_{jt}$ of shape (o,).

    Example:
        >>> w = torch.tensor([[[1.0], [3.0]]])
        >>> merged(w, torch.tensor([[2.0]]), torch.tensor([5.0]), torch.tensor([1]), torch.tensor([0]))
        (tensor([[[7.]]]), tensor([15.]))
    """
    left = weights[:, gone]
    return weights[:, kept] + torch.einsum("rk,ort->okt", mix, left), left.sum(2) @ constant
