"""Mean squared differences of pairs of feature maps."""

from __future__ import annotations

from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray
from secateurs.measure.map_mean import MapMean


def difference_sum(maps: FloatArray | Tensor) -> MapMean:
    r"""Mean squared difference of each pair of maps over their places, summed over the images.

    Its mean over images is $D_{ij} = E[(X_i - X_j)^2] = (\beta_i - \beta_j)^2 + \gamma_i^2 + \gamma_j^2 - 2 \rho_{ij}
    \gamma_i \gamma_j$ for channels of mean $\beta$, deviation $\gamma$ and correlation $\rho$, all three as the data
    have them.

    Args:
        maps: Shape (b, n, h, w).

    Returns:
        Sum of (n, n) over b images, in the squared unit of the maps; 0 on the diagonal.

    Raises:
        InputError: Not four axes, empty, or not finite.

    Cost:
        O(b n^2 h w) time, O(n^2 + b n h w) memory.

    Example:
        >>> import numpy as np
        >>> difference_sum(np.array([[[[0.0, 0.0]], [[1.0, 3.0]]]])).mean()
        tensor([[0., 5.],
                [5., 0.]], dtype=torch.float64)

    References:
        [zhang2019channel] [zhao2023exploiting] Exploiting channel similarity for network pruning (abstract; a reading).
    """
    flat = checked(maps, "feature maps", ndim=4).flatten(2)
    total = flat.new_zeros(flat.shape[1], flat.shape[1])
    for image in flat:
        centred = image - image.mean(dim=0)  # the difference is the same, and less cancels
        squares = centred.square().sum(dim=1)
        total += (squares[:, None] + squares - 2.0 * (centred @ centred.T)).clamp(min=0.0) / image.shape[1]
    total.fill_diagonal_(0.0)
    return MapMean((total + total.T) / 2, len(flat))
