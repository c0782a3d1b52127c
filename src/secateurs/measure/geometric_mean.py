"""Distance of each filter's geometric mean from its layer's."""

from __future__ import annotations

import torch

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits


@Traits(scale=True, sign=True)
def geometric_mean_gap(filters: ArrayT) -> ArrayT:
    r"""Squared gap between the geometric means of the layer's and of the filter's weights.

    $s_i = (g(F) - g(f_i))^2$ with $g(x) = \exp(\mathrm{mean} \log |x|)$, which is 0 where an entry is 0.
    Published under the letters GM as a baseline; it is not the geometric *median*, for which see
    `distance_to_all`.

    Args:
        filters: One filter a row, shape (n, d).

    Returns:
        Shape (n,), in the squared unit of the weights.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n d).

    Example:
        >>> import numpy as np
        >>> geometric_mean_gap(np.array([[1.0, 4.0], [8.0, 8.0]]))
        array([ 4., 16.])

    References:
        [singh2023efficient] Efficient CNNs via passive filter pruning, 2023 (its baseline's code).
    """
    logs = checked(filters, "filters").abs().log()
    return alike((torch.exp(logs.mean()) - torch.exp(logs.mean(dim=1))).square(), filters)
