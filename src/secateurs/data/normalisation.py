"""How stored pixels become what a network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from secateurs.errors import InputError


@dataclass(frozen=True)
class Normalisation:
    """`(x / scale - mean) / std`, channel by channel.

    `scale` is the largest stored value (255 for 8-bit images, 16 for scikit-learn's digits), so that
    `mean` and `std` are in the unit of pixels in [0, 1], as papers and model cards give them.

    Example:
        >>> Normalisation((0.5,), (0.25,)).mean
        (0.5,)

    Raises:
        InputError: lengths differ, a value is not finite, or a deviation is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise InputError(
                f"A normalisation needs one mean and one deviation a channel, got {len(self.mean)} means "
                f"and {len(self.std)} deviations."
            )
        values = (*self.mean, *self.std, self.scale)
        if not all(math.isfinite(v) for v in values) or min(*self.std, self.scale) <= 0:
            raise InputError(
                "A normalisation needs finite means and positive deviations and scale, got mean "
                f"{self.mean}, std {self.std}, scale {self.scale}."
            )


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Mean and deviation of the pixels of the training part, over 16.
DIGITS = Normalisation((0.305,), (0.376,), scale=16.0)
