"""How much of what the layer mainly does a filter does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits
from secateurs.errors import InputError


def operator_norm_score(filters: ArrayT, *, taps: int, faithful: bool = False) -> ArrayT:
    r"""Energy of each filter along the leading direction of each input channel.

    For channel c, the kernels of all filters are the rows of a matrix (n, t); less their mean, they
    have a leading right singular vector $v_c$, the direction in which the channel's operator norm is
    taken. The score is $s_i = \sum_c \langle W_{ic} - \bar W_c, v_c \rangle^2$.

    This is the published script's computation; the paper's text was not at hand.

    Args:
        filters: Rows of c blocks of t taps, shape (n, c t), as `Flat` gives them.
        taps: t, how many taps one channel has.
        faithful: The published script squares the sum over channels instead of summing squares, with
            $v_c$ turned so that filter 0 has no negative share; the scores then depend on which
            filter comes first.

    Returns:
        Shape (n,), in the squared unit of the weights.

    Raises:
        InputError: Not two axes, empty, not finite, or taps that do not divide d.

    Cost:
        O(n d t + c t^3), from one small eigenproblem a channel.

    Example:
        >>> import numpy as np
        >>> operator_norm_score(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), taps=2)
        array([4., 4., 0., 0.])

    References:
        [singh2023efficient] Efficient CNNs via passive filter pruning, 2023.
    """
    tensor = checked(filters, "filters")
    if taps < 1 or tensor.shape[1] % taps:
        raise InputError(f"taps: got {taps}, which does not divide the {tensor.shape[1]} weights of a filter")
    kernels = tensor.reshape(len(tensor), -1, taps).transpose(0, 1)  # (c, n, t)
    centred = kernels - kernels.mean(dim=1, keepdim=True)
    leading = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, :, -1:]
    share = (centred @ leading)[:, :, 0]  # (c, n)
    if not faithful:
        return alike(share.square().sum(dim=0), filters)
    return alike((share * torch.sign(share[:, :1])).sum(dim=0).square(), filters)


@dataclass(frozen=True)
class OperatorNorm:
    """Worth = energy along the channels' leading directions. See `operator_norm_score`."""

    taps: int
    faithful: bool = False
    traits: ClassVar[Traits] = Traits(scale=True, shift=True)

    def __call__(self, filters: ArrayT) -> ArrayT:
        """(n, c t) to (n,)."""
        return operator_norm_score(filters, taps=self.taps, faithful=self.faithful)
