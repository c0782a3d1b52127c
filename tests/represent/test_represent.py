"""Every representation equals a plain loop of its formula, on ordinary and on degenerate filters."""

import numpy as np
import pytest
import torch

from secateurs.arrays import normalise_rows
from secateurs.errors import InputError
from secateurs.represent import batch_norm_scale, flat, kernels, rank_one_direction


def drawn(n, c, t, seed=0):
    return np.random.default_rng(seed).standard_normal((n, c, t))


def plain_direction(weights):
    """u1 v1[0] / |v1[0]| by the singular value decomposition of one filter after another."""
    rows = []
    for one in weights:
        left, _, right = np.linalg.svd(one.T)
        column = left[:, 0] * right[0, 0]
        rows.append(column / np.linalg.norm(column))
    return np.array(rows)


@pytest.mark.parametrize(
    ("n", "c", "t"), [(5, 3, 9), (4, 16, 9), (3, 9, 9), (6, 1, 9), (2, 2, 49), (1, 5, 3)]
)
def test_direction_equals_the_plain_loop(n, c, t):
    weights = drawn(n, c, t)
    np.testing.assert_allclose(rank_one_direction(weights), plain_direction(weights), atol=1e-12)


def test_direction_of_one_channel_is_the_unit_filter():
    weights = drawn(4, 1, 9)
    expected = weights[:, 0] / np.linalg.norm(weights[:, 0], axis=1, keepdims=True)
    np.testing.assert_allclose(rank_one_direction(weights), expected, atol=1e-15)


def test_direction_ignores_size_and_turns_with_the_sign():
    weights = drawn(3, 4, 9)
    stack = np.concatenate([weights, 1e-200 * weights, 1e200 * weights, -weights])
    p = rank_one_direction(stack)
    np.testing.assert_allclose(p[3:6], p[:3], atol=1e-12)
    np.testing.assert_allclose(p[6:9], p[:3], atol=1e-12)
    np.testing.assert_allclose(p[9:], -p[:3], atol=1e-12)


def test_direction_of_zero_filters_is_zero():
    weights = drawn(3, 4, 9)
    weights[1] = 0.0
    p = rank_one_direction(weights)
    assert np.all(p[1] == 0)
    np.testing.assert_allclose(np.linalg.norm(p[[0, 2]], axis=1), 1.0)


def test_where_the_first_channel_has_no_share_the_next_settles_the_sign():
    weights = np.zeros((1, 3, 2))
    weights[0, 1] = [-3.0, 4.0]
    np.testing.assert_allclose(rank_one_direction(weights), [[-0.6, 0.8]])


def test_pointwise_filters_are_compared_by_their_channels_unless_faithful():
    weights = drawn(4, 3, 1)
    lengths = np.linalg.norm(weights[:, :, 0], axis=1, keepdims=True)
    np.testing.assert_allclose(rank_one_direction(weights), weights[:, :, 0] / lengths, atol=1e-15)
    published = rank_one_direction(weights, faithful=True)
    np.testing.assert_array_equal(published, np.sign(weights[:, :1, 0]))


def test_flat_is_channel_by_channel():
    weights = drawn(2, 3, 4)
    np.testing.assert_array_equal(flat(weights), [[w for channel in f for w in channel] for f in weights])


def test_kernels_are_the_weights():
    weights = drawn(2, 3, 4)
    np.testing.assert_array_equal(kernels(weights), weights)


def test_normalised_rows_have_length_one_and_zeros_stay():
    filters = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-300, 0.0], [-1e300, 1e300]], dtype=torch.float64)
    expected = [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0], [-(0.5**0.5), 0.5**0.5]]
    np.testing.assert_allclose(normalise_rows(filters), expected)


def test_batch_norm_scale_is_what_batch_norm_multiplies_with():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(5).double().eval()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    scale = batch_norm_scale(norm.weight, norm.running_var, eps=norm.eps)
    x = torch.randn(2, 5, 6, 6, dtype=torch.float64)
    expected = (norm(x) - norm(torch.zeros_like(x))).detach()
    torch.testing.assert_close(x * scale[:, None, None], expected)


@pytest.mark.parametrize("represent", [flat, rank_one_direction, kernels])
def test_tensors_give_tensors_and_inputs_stay_untouched(represent):
    weights = drawn(2, 3, 9)
    before = weights.copy()
    out = represent(weights)
    again = represent(torch.from_numpy(weights).float())
    assert isinstance(out, np.ndarray)
    assert isinstance(again, torch.Tensor)
    assert again.dtype == torch.float64
    np.testing.assert_allclose(again.numpy(), out, atol=1e-6)
    np.testing.assert_array_equal(weights, before)


@pytest.mark.parametrize("represent", [flat, rank_one_direction, kernels])
def test_bad_weights_are_named(represent):
    broken = drawn(2, 3, 9)
    broken[1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"weights: 1 of 54 .*NaN.*\(1, 2, 3\)"):
        represent(broken)
    with pytest.raises(InputError, match="weights: expected 3 axes"):
        represent(np.ones((2, 3)))
    with pytest.raises(InputError, match=r"weights: .*empty"):
        represent(np.ones((0, 3, 9)))


def test_bad_batch_norm_is_named():
    with pytest.raises(InputError, match="variance"):
        batch_norm_scale(np.ones(2), np.array([1.0, -1.0]))
    with pytest.raises(InputError, match="2 and 3 channels"):
        batch_norm_scale(np.ones(2), np.ones(3))
