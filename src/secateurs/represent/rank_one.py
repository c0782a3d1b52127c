"""Filters as rows: the direction of the rank-one part of each."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT


def rank_one_direction(weights: ArrayT, *, faithful: bool = False) -> ArrayT:
    r"""The first column of the normalised rank-one part of each filter.

    With $X_i \in R^{t \times c}$ (rows are taps, columns input channels) and $X_i = U \Sigma V^T$,
    $p_i = u_1 v_1[0] / |v_1[0]| = \mathrm{sign}(v_1[0])\, u_1$. All columns of $u_1 v_1^T$ are the
    same up to a scalar, so the choice of the first settles the sign only; where $v_1[0] = 0$ the
    first channel that has a share settles it. The singular value is not used: two filters that
    differ by a positive factor are the same.

    $u_1$ is the leading eigenvector of the small matrix $X_i X_i^T$ (t x t), or comes from
    $X_i^T X_i$ (c x c) where there are fewer channels than taps.

    Args:
        weights: Shape (n, c, t).
        faithful: For t = 1 every direction is $\pm 1$ and says nothing, so there the unit vector of
            the c weights is taken instead; True gives the published $\pm 1$. A filter of zeros has no direction;
            True gives the published (1, 0, ..., 0), so that two of them are duplicates.

    Returns:
        Shape (n, t), or (n, c) where t = 1 and not `faithful`. Rows have length 1, those of filters
        that are all zero have length 0 unless `faithful`.

    Raises:
        InputError: Not three axes, empty, or not finite.

    Cost:
        O(n (c t min(c, t) + min(c, t)^3)).

    Example:
        >>> import numpy as np
        >>> rank_one_direction(np.array([[[3.0, 4.0], [6.0, 8.0]], [[-3.0, -4.0], [6.0, 8.0]]])).round(3)
        array([[ 0.6,  0.8],
               [-0.6, -0.8]])

    References:
        [singh2022passive] A passive similarity based CNN filter pruning, Interspeech 2022.
    """
    tensor = checked(weights, "weights", ndim=3)
    if tensor.shape[2] == 1 and not faithful:
        tensor = tensor.transpose(1, 2)
    directions = _directions(tensor)
    if faithful:
        directions[(tensor == 0).all(dim=2).all(dim=1), 0] = 1.0
    return alike(directions, weights)


def _directions(weights: Tensor) -> Tensor:
    unit = _of_moderate_size(weights)
    channels, taps = unit.shape[1:]
    if channels == 1:
        leading = unit[:, 0, :]
    elif channels < taps:
        right = torch.linalg.eigh(unit @ unit.mT).eigenvectors[:, :, -1]
        leading = (right[:, None, :] @ unit)[:, 0, :]
    else:
        leading = torch.linalg.eigh(unit.mT @ unit).eigenvectors[:, :, -1]
    length = leading.norm(dim=1, keepdim=True)
    leading = leading / torch.where(length > 0, length, 1.0)
    return leading * _signs(unit, leading)[:, None]


def _of_moderate_size(weights: Tensor) -> Tensor:
    """The weights, scaled filter by filter where their squares would overflow or vanish."""
    length = torch.linalg.vector_norm(weights, dim=(1, 2))
    if bool(((length > 1e-100) & (length < 1e100)).all()):
        return weights
    size = weights.abs().amax(dim=(1, 2), keepdim=True)
    return weights / torch.where(size > 0, size, 1.0)


def _signs(weights: Tensor, leading: Tensor) -> Tensor:
    """Sign of each filter's first channel along its direction; 0 for filters of zeros."""
    first = (weights[:, 0, :] * leading).sum(dim=1)  # sigma_1 v_1[0]
    settled = first.abs() > 1e-12 * torch.linalg.vector_norm(weights, dim=(1, 2))
    if not bool(settled.all()):
        rest = (~settled).nonzero()[:, 0]
        share = (weights[rest] @ leading[rest, :, None])[:, :, 0]
        seen = share.abs() > 1e-12 * share.abs().amax(dim=1, keepdim=True)
        first[rest] = share.gather(1, seen.to(torch.uint8).argmax(dim=1, keepdim=True))[:, 0]
    return torch.sign(first)
