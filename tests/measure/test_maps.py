"""Measures of feature maps against plain loops over images, pairs and windows."""

import numpy as np
import pytest
import torch

from secateurs import measure
from secateurs.errors import InputError
from secateurs.methods import part


def drawn(b, n, h, w, seed=0):
    maps = np.random.default_rng(seed).random((b, n, h, w))
    maps[:, n - 1] = maps[:, 0]  # two equal maps
    maps[0, 1] = 0.0  # one dead
    return maps


def plain_range(maps):
    out = np.zeros_like(maps)
    for i, image in enumerate(maps):
        if image.max() > image.min():
            out[i] = (image - image.min()) / (image.max() - image.min())
    return out


def weighted_ssim(x, y, weight):
    mx, my = (weight * x).sum(), (weight * y).sum()
    vx, vy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
    cov = (weight * (x - mx) * (y - my)).sum()
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def plain_ssim(x, y, side):
    if side == 0:
        return weighted_ssim(x, y, np.full(x.shape, 1.0 / x.size))
    bell = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * 1.5**2))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    values = [
        weighted_ssim(x[r : r + side, c : c + side], y[r : r + side, c : c + side], weight)
        for r in range(x.shape[0] - side + 1)
        for c in range(x.shape[1] - side + 1)
    ]
    return np.mean(values)


def over_pairs(maps, f):
    b, n = maps.shape[:2]
    return np.array(
        [[np.mean([f(maps[k, i], maps[k, j]) for k in range(b)]) for j in range(n)] for i in range(n)]
    )


@pytest.mark.parametrize(
    ("shape", "window", "side"),
    [
        ((2, 4, 13, 12), True, 11),
        ((2, 3, 10, 14), True, 9),
        ((2, 3, 8, 8), True, 0),
        ((2, 3, 12, 12), False, 0),
        ((1, 3, 1, 1), True, 0),
    ],
)
def test_ssim(shape, window, side):
    maps = 5.0 * drawn(*shape) - 1.0
    expected = over_pairs(plain_range(maps), lambda x, y: plain_ssim(x, y, side))
    np.testing.assert_allclose(measure.ssim_sum(maps, window=window).mean(), expected, atol=1e-10)


@pytest.mark.parametrize("scaled", [True, False])
def test_psnr(scaled):
    maps = drawn(3, 4, 5, 6)
    seen = plain_range(maps) if scaled else maps
    expected = over_pairs(seen, lambda x, y: 10 * np.log10(1 / max(np.mean((x - y) ** 2), 1e-10)))
    np.testing.assert_allclose(measure.psnr_sum(maps, scaled=scaled).mean(), expected, rtol=1e-9)


@pytest.mark.parametrize("block", [1, 1500, 2**16])
def test_blocks_of_windows_give_the_same(monkeypatch, block):
    """One line of places a block, and eight maps; several lines; everything at once."""
    maps = drawn(1, 20, 13, 12)
    expected = over_pairs(plain_range(maps), lambda x, y: plain_ssim(x, y, 11))
    monkeypatch.setattr("secateurs.measure.ssim._BLOCK", block)
    np.testing.assert_allclose(measure.ssim_sum(maps).mean(), expected, atol=1e-12)


def test_differences():
    maps = 5.0 * drawn(3, 4, 5, 6) - 100.0
    expected = over_pairs(maps, lambda x, y: np.mean((x - y) ** 2))
    np.testing.assert_allclose(measure.difference_sum(maps).mean(), expected, rtol=1e-9, atol=1e-12)


SUMS = [
    measure.difference_sum,
    measure.ssim_sum,
    part(measure.ssim_sum, window=False),
    measure.psnr_sum,
    measure.rank_sum,
]


@pytest.mark.parametrize("m", SUMS)
def test_batches_add_up(m):
    maps = drawn(5, 3, 12, 12)
    parts = m(maps[:2]) + m(maps[2:3]) + m(torch.from_numpy(maps[3:]))
    assert parts.images == 5
    np.testing.assert_allclose(parts.mean().numpy(), m(maps).mean(), atol=1e-12)


def test_batches_of_different_layers_do_not_add_up():
    with pytest.raises(InputError, match="batches of 3 and 4 maps"):
        measure.psnr_sum(drawn(1, 3, 4, 4)) + measure.psnr_sum(drawn(1, 4, 4, 4))


def test_hrank():
    maps = drawn(3, 4, 6, 5)
    maps[1, 2] = np.outer(np.arange(6), np.ones(5))
    expected = [np.mean([np.linalg.matrix_rank(maps[b, i]) for b in range(3)]) for i in range(4)]
    np.testing.assert_array_equal(measure.rank_sum(maps).mean(), expected)


def test_hrank_does_not_count_the_rounding_of_float32():
    rng = np.random.default_rng(0)
    low = (rng.standard_normal((16, 2)) @ rng.standard_normal((2, 16))).astype(np.float32)[None, None]
    assert measure.rank_sum(torch.from_numpy(low)).mean().tolist() == [2.0]
    assert measure.rank_sum(low).mean().tolist() == [2.0]


def test_taylor():
    maps, slopes = drawn(3, 4, 2, 5), drawn(3, 4, 2, 5, seed=1) - 0.5
    expected = [np.mean([abs(np.mean(maps[b, i] * slopes[b, i])) for b in range(3)]) for i in range(4)]
    np.testing.assert_allclose(measure.taylor_sum(maps, slopes).mean(), expected)
    parts = measure.taylor_sum(maps[:1], slopes[:1]) + measure.taylor_sum(maps[1:], slopes[1:])
    np.testing.assert_allclose(parts.mean().numpy(), expected)
    with pytest.raises(InputError, match="gradients: shape"):
        measure.taylor_sum(maps, slopes[:1])


@pytest.mark.parametrize("m", SUMS)
def test_bad_maps_are_named(m):
    maps = drawn(2, 3, 4, 4)
    maps[1, 2, 0, 3] = np.inf
    with pytest.raises(InputError, match=r"feature maps: 1 of 96 .*\(1, 2, 0, 3\)"):
        m(maps)
    with pytest.raises(InputError, match="feature maps: expected 4 axes"):
        m(maps[0])
