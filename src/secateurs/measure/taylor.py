"""First-order change of the loss without each feature map."""

from __future__ import annotations

from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import FloatArray
from secateurs.errors import InputError
from secateurs.measure.map_mean import MapMean


def taylor_sum(maps: FloatArray | Tensor, gradients: FloatArray | Tensor) -> MapMean:
    r"""First-order change of the loss when a map is set to zero, summed over the images.

    $\Theta_i = \left| \frac{1}{hw} \sum_{uv} a_{iuv}\, \partial L / \partial a_{iuv} \right|$ for each image.

    Args:
        maps: Activations a, shape (b, n, h, w).
        gradients: Of the loss with respect to them, the same shape.

    Returns:
        Sum of (n,) over b images, in the unit of the loss.

    Raises:
        InputError: Not four axes, empty, not finite, or shapes that differ.

    Cost:
        O(b n h w).

    Example:
        >>> import numpy as np
        >>> a = np.array([[[[1.0, 2.0]], [[4.0, 0.0]]]])
        >>> taylor_sum(a, np.ones_like(a)).mean()
        tensor([1.5000, 2.0000], dtype=torch.float64)

    References:
        [molchanov2017pruning] Pruning convolutional neural networks for resource efficient inference,
        ICLR 2017.
    """
    values, slopes = checked(maps, "feature maps", ndim=4), checked(gradients, "gradients", ndim=4)
    if values.shape != slopes.shape:
        raise InputError(
            f"gradients: shape {tuple(slopes.shape)}, but the maps have {tuple(values.shape)}; "
            "take the gradient of the loss with respect to the maps"
        )
    per_image = (values * slopes.to(values.device)).mean(dim=(2, 3)).abs()
    return MapMean(per_image.sum(dim=0), len(values))
