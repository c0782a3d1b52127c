import numpy as np
import pytest
import torch

from secateurs.errors import InputError
from secateurs.statistics import Moments, Statistics


def test_moments_add_up_to_those_of_all_rows():
    rows = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = Moments.of(rows[:20]) + Moments.of(rows[20:])
    data = rows.numpy()
    for g in range(2):
        np.testing.assert_allclose(whole.mean()[g], data[:, g].mean(0), rtol=1e-12)
        np.testing.assert_allclose(
            whole.covariance()[g], np.cov(data[:, g].T, bias=True), rtol=1e-9, atol=1e-12
        )
        augmented = np.concatenate([data[:, g], np.ones((50, 1))], 1)
        np.testing.assert_allclose(whole.augmented()[g], augmented.T @ augmented / 50, rtol=1e-12)


def test_moments_refuse_what_is_not_finite_or_does_not_fit():
    with pytest.raises(InputError, match="normalisation"):
        Moments.of(torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(InputError, match="same layer"):
        Moments.zeros(1, 2) + Moments.zeros(1, 3)


def test_statistics_are_saved_merged_and_loaded(tmp_path):
    a = Statistics(5, {"x": Moments.of(torch.randn(5, 3))}, {"x": Moments.of(torch.randn(9, 2, 4))}, ("odd",))
    both = a + a
    assert both.samples == 10
    assert both.warnings == ("odd",)
    assert both.channels["x"].count == 10
    both.save(tmp_path / "s.safetensors")
    again = Statistics.load(tmp_path / "s.safetensors")
    assert again.samples == 10
    assert torch.equal(again.taps["x"].second, both.taps["x"].second)
    assert torch.equal(again.channels["x"].first, both.channels["x"].first)
    with pytest.raises(InputError, match="different networks"):
        a + Statistics(1)
    with pytest.raises(InputError, match="cannot be read"):
        Statistics.load(tmp_path / "none.safetensors")
