"""Energy of each filter along the leading right singular vector of each input channel."""

from __future__ import annotations

import torch

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits


@Traits(scale=True, shift=True)
def operator_norm_score(kernels: ArrayT, *, faithful: bool = False) -> ArrayT:
    r"""Energy of each filter along the leading right singular vector of each input channel.

    For channel c, the kernels of all filters are the rows of a matrix (n, t); less their mean, they
    have a leading right singular vector $v_c$, the direction in which the channel's operator norm is
    taken. The score is $s_i = \sum_c \langle W_{ic} - \bar W_c, v_c \rangle^2$.

    This is the published script's computation; the paper's text was not at hand.

    Args:
        kernels: Shape (n, c, t), t taps for each of c input channels; see `represent.kernels`.
        faithful: The published script squares the sum over channels instead of summing squares, with
            $v_c$ turned so that filter 0 has no negative share; the scores then depend on which
            filter comes first.

    Returns:
        Shape (n,), in the squared unit of the weights.

    Raises:
        InputError: Not three axes, empty, or not finite.

    Cost:
        O(n d t + c t^3), from one small eigenproblem a channel.

    Example:
        >>> import numpy as np
        >>> operator_norm_score(np.array([[[2.0, 0.0]], [[-2.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]]))
        array([4., 4., 0., 0.])

    References:
        [singh2023efficient] Efficient CNNs via passive filter pruning, 2023.
    """
    channels = checked(kernels, "kernels", ndim=3).transpose(0, 1)  # (c, n, t)
    centred = channels - channels.mean(dim=1, keepdim=True)
    leading = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, :, -1:]
    share = (centred @ leading)[:, :, 0]  # (c, n)
    if not faithful:
        return alike(share.square().sum(dim=0), kernels)
    return alike((share * torch.sign(share[:, :1])).sum(dim=0).square(), kernels)
