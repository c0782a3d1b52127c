"""What a drop in accuracy may really be, where the same samples were put to both networks."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.6448536269514722
"""95 % of a normal distribution lie below so many standard deviations."""


@dataclass(frozen=True)
class Drop:
    """Loss of accuracy in points (hundredths): as measured on `samples`, and at most, with 95 % confidence."""

    measured: float
    bound: float
    samples: int

    def __str__(self) -> str:
        return (
            f"{self.measured:.2f} points lost on {self.samples:,} held-out samples, at most {self.bound:.2f} "
            "with 95 % confidence"
        ).replace("-", "−", 1 if self.measured < 0 else 0)


def upper_drop(broken: float, mended: float, n: int) -> float:
    r"""Upper end of the one-sided 95 % score interval for a difference of paired shares.

    With b of n samples right before and wrong after, and c the other way round, it is the larger root in
    $\Delta$ of

    .. math:: \frac{b - c - n \Delta}{\sqrt{n (2 q + \Delta (1 - \Delta))}} = -z, \quad
              q = \frac{\sqrt{B^2 - 8 n C} - B}{4 n}, \quad
              B = (2 n - b + c) \Delta - b - c, \quad C = -c \Delta (1 - \Delta)

    where q is the likeliest share of mended samples if the true difference is $\Delta$. Where no sample changes
    it is $z^2 / (n + z^2)$, near the "rule of three", where the usual interval has no width. Shares of samples
    may be broken and mended, and then it is too wide rather than too narrow.

    Args:
        broken: b, from 0 to n.
        mended: c, from 0 to n - b.
        n: Samples.

    Returns:
        A share, in (-1, 1].

    Example:
        >>> round(upper_drop(0, 0, 300), 5), round(Z**2 / (300 + Z**2), 5)
        (0.00894, 0.00894)

    References:
        T. Tango, Equivalence test and confidence interval for the difference in proportions for the
        paired-sample design, Statistics in Medicine 17 (1998), 891-908.
    """

    def deviation(delta: float) -> float:
        b = (2 * n - broken + mended) * delta - broken - mended
        c = -mended * delta * (1 - delta)
        q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        return (broken - mended - n * delta) / math.sqrt(max(n * (2 * q + delta * (1 - delta)), 1e-300))

    low, high = (broken - mended) / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if deviation(middle) > -Z else (low, middle)
    return high


def samples_for(drop: float) -> int:
    r"""Samples with which a drop of so many points can be told from noise: $8 z^2 / \delta$.

    A network that really loses half of the drop, $\delta / 2$, and changes four times as many answers,
    $q = 2 \delta$, then has a standard error $\sqrt{q / n}$ with which $\delta / 2 + z \sqrt{q / n} = \delta$.

    Example:
        >>> samples_for(1.0), samples_for(5.0)
        (2165, 433)
    """
    return math.ceil(8 * Z**2 / (drop / 100))
