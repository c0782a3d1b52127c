"""Which layers stay in float, so that an int8 file comes close enough to the float one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[Any]


def relative_error(found: Scores, expected: Scores) -> float:
    r"""The error of scores $\hat z$ relative to z: $\lVert \hat z - z \rVert / \lVert z \rVert$.

    Example:
        >>> relative_error(np.array([3.0, 5.0]), np.array([3.0, 4.0]))
        0.2
    """
    return float(np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), 1e-12))


def kept_in_float(
    layers: Sequence[str], scores: Callable[[Sequence[str]], Scores], expected: Scores, most: float
) -> tuple[str, ...]:
    """The layers to leave in float: as few as it takes, those first that alone change the scores most.

    Args:
        layers: Names of all layers that can be quantised.
        scores: From the layers left in float to the scores on calibration data.
        expected: The scores of the float network.
        most: The largest relative error that is asked for.

    Returns:
        Some of `layers`; all of them where nothing less is enough.

    Cost:
        One quantisation a layer, and one for every layer that stays in float.

    Example:
        >>> error = {"a": 0.5, "b": 0.01}
        >>> def scores(left): return np.array([1.0 + sum(e for name, e in error.items() if name not in left)])
        >>> kept_in_float(["a", "b"], scores, np.ones(1), 0.1)
        ('a',)
    """
    left: list[str] = []
    if relative_error(scores(left), expected) <= most:
        return ()
    alone = {
        name: relative_error(scores([other for other in layers if other != name]), expected)
        for name in layers
    }
    for name in sorted(layers, key=lambda name: -alone[name]):
        left.append(name)
        if relative_error(scores(left), expected) <= most:
            break
    return tuple(left)
