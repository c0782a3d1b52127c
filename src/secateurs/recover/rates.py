"""The learning rate of every step, as a share of the largest."""

from __future__ import annotations

import math

from secateurs.tuning import TuneConfig


def rate(step: int, each: int, config: TuneConfig) -> float:
    r"""Share of the largest learning rate at a step counted from 0.

    With s steps in all, of which w are warm-up, step k has $\frac{k + 1}{w}$ for $k < w$, and after it
    $\frac12 (1 + \cos \pi \frac{k - w}{s - w})$ ("cosine"), $10^{-d}$ after d of the drops ("step"), or 1.

    Args:
        step: Number of the step, from 0.
        each: Steps an epoch.
        config: Epochs, schedule, drops and warm-up.

    Example:
        >>> [round(rate(k, 1, TuneConfig(epochs=4, schedule="cosine")), 3) for k in range(4)]
        [1.0, 0.854, 0.5, 0.146]
        >>> [round(rate(k, 1, TuneConfig(epochs=4, schedule="step", drops=(0.5,))), 3) for k in range(4)]
        [1.0, 1.0, 0.1, 0.1]
        >>> [rate(k, 2, TuneConfig(schedule="constant", warmup=1.0)) for k in range(3)]
        [0.5, 1.0, 1.0]
    """
    warm, steps = round(config.warmup * each), config.epochs * each
    if step < warm:
        return (step + 1) / warm
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    if config.schedule == "step":
        return float(0.1 ** sum(step >= share * steps for share in config.drops))
    return 1.0
