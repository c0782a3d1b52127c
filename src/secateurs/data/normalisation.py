"""How stored pixels become what a network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from secateurs.errors import InputError


@dataclass(frozen=True)
class Normalisation:
    """`(x - mean) / std`, channel by channel, for pixels x in [0, 1].

    Data sets bring their stored pixels to [0, 1] themselves (8-bit images over 255, scikit-learn's digits
    over 16), so `mean` and `std` are the numbers that papers and model cards give.

    Example:
        >>> Normalisation((0.5,), (0.25,)).mean
        (0.5,)

    Raises:
        InputError: lengths differ, a value is not finite, or a deviation is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise InputError(
                f"A normalisation needs one mean and one deviation a channel, got {len(self.mean)} means "
                f"and {len(self.std)} deviations."
            )
        if not all(math.isfinite(v) for v in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise InputError(
                "A normalisation needs finite means and positive deviations, got "
                f"mean {self.mean}, std {self.std}."
            )


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Mean and deviation of the pixels of the training part.
DIGITS = Normalisation((0.305,), (0.376,))
