"""Distances between the distributions of channels, from batch-norm entries alone."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from secateurs.arrays import alike, two_columns
from secateurs.contracts import ArrayT, Traits
from secateurs.errors import InputError

Kind = Literal["independent", "wasserstein", "relu"]


@Traits(scale=True)
def channel_distances(entries: ArrayT, *, kind: Kind = "independent") -> ArrayT:
    r"""Expected squared difference of channels with values $X_i \sim N(\beta_i, \gamma_i^2)$.

    - independent: $D_{ij} = (\beta_i - \beta_j)^2 + \gamma_i^2 + \gamma_j^2$, the likely text of the
      paper; $D_{ii} = 2 \gamma_i^2$, and channels with small $\gamma$ are near to everything.
    - wasserstein: $D_{ij} = (\beta_i - \beta_j)^2 + (|\gamma_i| - |\gamma_j|)^2$.
    - relu: $D_{ij} = q_i + q_j - 2 m_i m_j$ of independent channels behind a ReLU, with
      $m = \beta \Phi(\beta / |\gamma|) + |\gamma| \varphi(\beta / |\gamma|)$ and
      $q = (\beta^2 + \gamma^2) \Phi(\beta / |\gamma|) + \beta |\gamma| \varphi(\beta / |\gamma|)$.

    The paper's own formula was not at hand; these three are readings of it, and a fourth, that of correlated
    channels, needs data (`difference_sum`).

    Args:
        entries: Bias and weight (beta, gamma) of a batch norm, shape (n, 2); see `represent.BatchNorms`.
        kind: Which of the three.

    Returns:
        Shape (n, n), symmetric, non-negative, in the squared unit of the activations.

    Raises:
        InputError: Not of shape (n, 2), not finite, or an unknown kind.

    Cost:
        O(n^2).

    Example:
        >>> import numpy as np
        >>> channel_distances(np.array([[0.0, 1.0], [3.0, -1.0]]), kind="wasserstein")
        array([[0., 9.],
               [9., 0.]])

    References:
        [zhang2019channel] [zhao2023exploiting] Exploiting channel similarity for network pruning.
    """
    shift, width = two_columns(entries).unbind(dim=1)
    if kind not in get_args(Kind):
        raise InputError(f"kind: got {kind!r}; give one of {', '.join(get_args(Kind))}")
    if kind == "relu":
        mean, power = _rectified(shift, width)
        return alike(power[:, None] + power - 2.0 * mean[:, None] * mean, entries)
    gap = (shift[:, None] - shift).square()
    if kind == "wasserstein":
        return alike(gap + (width.abs()[:, None] - width.abs()).square(), entries)
    return alike(gap + (width.square()[:, None] + width.square()), entries)


def _rectified(beta: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """First and second moment of max(X, 0)."""
    width = gamma.abs()
    ratio = beta / torch.where(width > 0, width, 1.0)
    ratio = torch.where(width > 0, ratio, torch.sign(beta) * torch.inf)  # a constant is on or off
    ratio = torch.where((width > 0) | (beta != 0), ratio, 0.0)
    below = 0.5 * torch.erfc(-ratio / math.sqrt(2.0))
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2.0 * math.pi)
    mean = beta * below + width * density
    return mean, (beta.square() + width.square()) * below + beta * width * density
