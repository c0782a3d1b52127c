"""A small trained network, its data, and comparisons on them."""

from __future__ import annotations

import pytest
import torch

import secateurs as sc
from secateurs.data import resolve_data
from secateurs.zoo.digits import trained_digits_cnn

EXAMPLE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(scope="session")
def digits():
    return resolve_data("digits")


@pytest.fixture(scope="session")
def network():
    return trained_digits_cnn()


@pytest.fixture
def one_thread():
    """Sums in another order may turn an answer, and workers have one thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def compare(network, digits):
    """A comparison of one method at one budget, unless more is asked for."""

    def run(to, network=network, **more):
        given = {"methods": ["l2-norm"], "budgets": {"macs": [0.6]}, "draws": 2, "test": digits.test}
        return sc.compare(network, EXAMPLE, **{**given, "data": digits.calibration(64), "to": to, **more})

    return run
