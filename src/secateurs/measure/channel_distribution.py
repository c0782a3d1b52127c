"""Channels whose values are distributed alike, told from batch norm alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from secateurs.arrays import alike, checked, square
from secateurs.contracts import ArrayT, FloatArray, Traits
from secateurs.errors import InputError

Kind = Literal["independent", "correlated", "wasserstein", "relu"]


def channel_distances(
    beta: ArrayT,
    gamma: FloatArray | Tensor,
    *,
    kind: Kind = "independent",
    correlation: FloatArray | Tensor | None = None,
) -> ArrayT:
    r"""Expected squared difference of channels with values $X_i \sim N(\beta_i, \gamma_i^2)$.

    - independent: $D_{ij} = (\beta_i - \beta_j)^2 + \gamma_i^2 + \gamma_j^2$, the likely text of the
      paper; $D_{ii} = 2 \gamma_i^2$, and channels with small $\gamma$ are near to everything.
    - correlated: $D_{ij} = (\beta_i - \beta_j)^2 + \gamma_i^2 + \gamma_j^2 - 2 \rho_{ij} \gamma_i \gamma_j$,
      the sound one; needs data for $\rho$.
    - wasserstein: $D_{ij} = (\beta_i - \beta_j)^2 + (|\gamma_i| - |\gamma_j|)^2$.
    - relu: $D_{ij} = q_i + q_j - 2 m_i m_j$ of independent channels behind a ReLU, with
      $m = \beta \Phi(\beta / |\gamma|) + |\gamma| \varphi(\beta / |\gamma|)$ and
      $q = (\beta^2 + \gamma^2) \Phi(\beta / |\gamma|) + \beta |\gamma| \varphi(\beta / |\gamma|)$.

    The paper's own formula was not at hand; these four are readings of it.

    Args:
        beta: Bias of the batch norm, shape (n,).
        gamma: Its weight, shape (n,).
        kind: Which of the four.
        correlation: $\rho$, shape (n, n), within [-1, 1]; for `correlated` only.

    Returns:
        Shape (n, n), symmetric, non-negative, in the squared unit of the activations.

    Raises:
        InputError: Sizes that differ, not finite, an unknown kind, or a correlation missing,
            superfluous or outside [-1, 1].

    Cost:
        O(n^2).

    Example:
        >>> import numpy as np
        >>> channel_distances(np.array([0.0, 3.0]), np.array([1.0, -1.0]), kind="wasserstein")
        array([[0., 9.],
               [9., 0.]])

    References:
        [zhang2019channel] [zhao2023exploiting] Exploiting channel similarity for network pruning.
    """
    shift, width = checked(beta, "beta", ndim=1), checked(gamma, "gamma", ndim=1)
    width = width.to(shift.device)
    if shift.shape != width.shape:
        raise InputError(f"beta and gamma: {len(shift)} and {len(width)} channels; take both from one layer")
    if kind not in get_args(Kind):
        raise InputError(f"kind: got {kind!r}; give one of {', '.join(get_args(Kind))}")
    if (correlation is None) == (kind == "correlated"):
        raise InputError(f"correlation: kind {kind!r} {'needs it' if correlation is None else 'takes none'}")
    if kind == "relu":
        mean, power = _rectified(shift, width)
        return alike(power[:, None] + power - 2.0 * mean[:, None] * mean, beta)
    gap = (shift[:, None] - shift).square()
    if kind == "wasserstein":
        return alike(gap + (width.abs()[:, None] - width.abs()).square(), beta)
    spread = width.square()[:, None] + width.square()
    if correlation is not None:
        rho = _correlation(correlation, len(shift)).to(shift.device)
        spread = (spread - 2.0 * rho * width[:, None] * width).clamp(min=0.0)
    return alike(gap + spread, beta)


def _correlation(correlation: FloatArray | Tensor, n: int) -> Tensor:
    rho = square(correlation, "correlation")
    if len(rho) != n:
        raise InputError(f"correlation: {len(rho)} channels, but beta has {n}; take both from one layer")
    if float(rho.abs().max()) > 1.0 + 1e-6:
        raise InputError(f"correlation: found {float(rho.abs().max()):.4g}; entries lie within -1 to 1")
    return rho.clamp(-1.0, 1.0)


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


@dataclass(frozen=True)
class ChannelDistribution:
    """Likeness = minus the expected squared difference. See `channel_distances`.

    Takes rows (beta, gamma), shape (n, 2). The correlated kind needs one more matrix, so call
    `channel_distances` for it.
    """

    kind: Literal["independent", "wasserstein", "relu"] = "independent"
    traits: ClassVar[Traits] = Traits(scale=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, 2) to (n, n)."""
        tensor = checked(filters, "beta and gamma")
        if tensor.shape[1] != 2:
            raise InputError(f"beta and gamma: expected shape (n, 2), got {tuple(tensor.shape)}")
        return alike(-channel_distances(tensor[:, 0], tensor[:, 1], kind=self.kind), filters)
