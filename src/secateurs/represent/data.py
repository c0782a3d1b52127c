"""Representations from data: feature maps and contributions, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateurs.contracts import LayerInput


@dataclass(frozen=True)
class FeatureMaps:
    """The feature maps of the units at each layer that reads them: (b, n, h, w).

    With `gradients`, those of the loss with respect to the maps too, in the same shape.

    Example:
        >>> FeatureMaps().statistic
        'feature maps'
    """

    gradients: bool = False
    statistic: ClassVar[str] = "feature maps"

    def __call__(self, seen: LayerInput) -> tuple[Tensor, ...] | None:
        """What the measure is given; None where there is no gradient."""
        if not self.gradients:
            return (seen.maps(),)
        return None if seen.gradient is None else (seen.maps(), seen.maps(seen.gradient))


@dataclass(frozen=True)
class Contributions:
    """The Gram matrix of what the units contribute to the outputs of each layer that reads them: (n, n).

    Example:
        >>> Contributions().statistic
        'contributions to the next layer'
    """

    gradients: ClassVar[bool] = False
    statistic: ClassVar[str] = "contributions to the next layer"

    def __call__(self, seen: LayerInput) -> tuple[Tensor, ...] | None:
        """What the measure is given; None where the layer is not linear in its input."""
        return (seen.contributions(),) if seen.plain else None
