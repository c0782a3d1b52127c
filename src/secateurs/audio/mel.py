"""Mel filter banks: triangles over the frequencies of a spectrum, as the audio networks were trained with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LINEAR, _BREAK, _STEP = (
    200.0 / 3.0,
    1000.0,
    np.log(6.4) / 27.0,
)  # Hz a mel below 1 kHz, and ratio a mel above


def _slaney_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.log(np.maximum(hertz, _BREAK) / _BREAK) / _STEP
    found: NDArray[np.float64] = np.where(hertz < _BREAK, hertz / _LINEAR, _BREAK / _LINEAR + above)
    return found


def _slaney_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BREAK * np.exp(_STEP * (np.maximum(mel, _BREAK / _LINEAR) - _BREAK / _LINEAR))
    found: NDArray[np.float64] = np.where(mel < _BREAK / _LINEAR, mel * _LINEAR, above)
    return found


def _points(first: float, last: float, count: int) -> NDArray[np.float64]:
    """`count` numbers equally far apart, both ends among them."""
    found: NDArray[np.float64] = np.linspace(first, last, count, dtype=np.float64)
    return found


def _frequencies(rate: int, window: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.linspace(0.0, rate / 2, window // 2 + 1, dtype=np.float64)
    return found


def slaney_filters(rate: int, window: int, bins: int, low: float, high: float) -> Tensor:
    """Triangles between points equally far apart on Slaney's mel scale, each of area 1, as librosa makes them.

    With edges e in hertz, filter b rises from e[b] to e[b + 1] and falls to e[b + 2]; its height is
    2 / (e[b + 2] - e[b]).

    Args:
        rate: Samples a second.
        window: Samples of the Fourier transform.
        bins: Number of filters.
        low: Lower edge of the first filter in hertz.
        high: Upper edge of the last filter in hertz.

    Returns:
        Weights, shape (window // 2 + 1, bins).

    Example:
        >>> slaney_filters(32000, 1024, 64, 50.0, 14000.0).shape
        torch.Size([513, 64])
    """
    first, last = map(float, _slaney_mel(np.array([low, high])))
    edges = _slaney_hertz(_points(first, last, bins + 2))
    at = _frequencies(rate, window)
    weights = _triangles(at, edges) * (2.0 / (edges[2:] - edges[:-2]))
    return torch.from_numpy(weights.astype(np.float32))


def htk_filters(rate: int, window: int, bins: int, low: float, high: float) -> Tensor:
    """Triangles on the mel scale 1127 ln(1 + f / 700), straight in mels and of height 1, as Kaldi and TensorFlow do.

    Args:
        rate: Samples a second.
        window: Samples of the Fourier transform.
        bins: Number of filters.
        low: Lower edge of the first filter in hertz.
        high: Upper edge of the last filter in hertz.

    Returns:
        Weights, shape (window // 2 + 1, bins).

    Example:
        >>> htk_filters(16000, 512, 64, 125.0, 7500.0).shape
        torch.Size([257, 64])
    """
    first, last = map(float, _htk_mel(np.array([low, high])))
    edges = _points(first, last, bins + 2)
    at = _htk_mel(_frequencies(rate, window))
    return torch.from_numpy(_triangles(at, edges).astype(np.float32))


def _htk_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 1127.0 * np.log1p(hertz / 700.0)
    return found


def _triangles(at: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of each triangle at each point, shape (points, triangles); 1 at the middle edge."""
    rise = (at[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - at[:, None]) / (edges[2:] - edges[1:-1])
    found: NDArray[np.float64] = np.maximum(0.0, np.minimum(rise, fall))
    return found
