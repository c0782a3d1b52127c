"""How batches lie in memory: convolutions on a processor are faster where the channels of a place lie together."""

from __future__ import annotations

import torch
from torch import Tensor


def laid_out(x: Tensor) -> Tensor:
    """Images (n, c, h, w) on a processor with their channels last; everything else as it is.

    Example:
        >>> laid_out(torch.zeros(2, 3, 4, 4)).stride()
        (48, 1, 12, 3)
    """
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 and x.device.type == "cpu" else x


def laid_out_as(x: Tensor, like: Tensor) -> Tensor:
    """Laid out as another tensor of as many axes.

    Example:
        >>> laid_out_as(torch.zeros(2, 3, 4, 4), laid_out(torch.zeros(1, 3, 2, 2))).stride()
        (48, 1, 12, 3)
    """
    last = (
        like.dim() == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last)
    )
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
