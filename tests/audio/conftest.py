"""Clips of a second, made here."""

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture
def write(tmp_path):
    """Write samples as a file of sound and return its path."""

    def written(name, samples, rate=16_000, **settings):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, **settings)
        return path

    return written


@pytest.fixture
def noise():
    """Coloured noise, float32, in [-1, 1]."""

    def made(samples, seed=0, channels=None):
        shape = samples if channels is None else (samples, channels)
        walk = np.random.RandomState(seed).standard_normal(shape).cumsum(axis=0)
        walk -= np.linspace(walk[0], walk[-1], samples)
        return (0.9 * walk / np.abs(walk).max()).astype(np.float32)

    return made
