"""Random scores, as a control."""

from __future__ import annotations

import numpy as np
import torch

from secateurs.arrays import alike, checked
from secateurs.contracts import ArrayT, Traits


@Traits(scale=True, sign=True, shift=True, rotation=True)
def random_worth(filters: ArrayT, *, seed: int = 0) -> ArrayT:
    """Random numbers from the uniform distribution on [0, 1), one a filter, the same on every device.

    Args:
        filters: Shape (n, d); only n matters.
        seed: Where the generator starts.

    Returns:
        Shape (n,), without unit.

    Raises:
        InputError: Not two axes, empty, or not finite.

    Cost:
        O(n).

    Example:
        >>> import numpy as np
        >>> random_worth(np.zeros((2, 3)), seed=1).round(3)
        array([0.512, 0.95 ])
    """
    tensor = checked(filters, "filters")
    drawn = np.random.default_rng(seed).random(tensor.shape[0])
    return alike(torch.from_numpy(drawn).to(tensor.device), filters)
