"""Feature maps scaled to [0, 1]."""

from __future__ import annotations

import torch

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT


def unit_range(maps: ArrayT) -> ArrayT:
    r"""Scale feature maps to [0, 1] with one offset and one factor an image, so that maps stay comparable.

    $(x - \min) / (\max - \min)$ over all n maps of an image; an image that is constant becomes 0.

    Args:
        maps: Shape (b, n, h, w).

    Returns:
        The same shape.

    Raises:
        InputError: Not four axes, empty, or not finite.

    Cost:
        O(b n h w).

    Example:
        >>> import numpy as np
        >>> unit_range(np.array([[[[1.0, 2.0]], [[3.0, 5.0]]]])).reshape(2, 2)
        array([[0.  , 0.25],
               [0.5 , 1.  ]])
    """
    tensor = checked(maps, "feature maps", ndim=4)
    low, high = tensor.amin(dim=(1, 2, 3), keepdim=True), tensor.amax(dim=(1, 2, 3), keepdim=True)
    return alike((tensor - low) / torch.where(high > low, high - low, 1.0), maps)
