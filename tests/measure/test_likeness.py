"""Measures of pairs of filters against plain statements of their formulas."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.spatial.distance import cdist
from test_worth import CASES, drawn, every_case, plain_cosine

from secateurs import measure
from secateurs.errors import InputError
from secateurs.measure.euclidean import distance_blocks


@every_case
def test_cosine(filters):
    np.testing.assert_allclose(measure.cosine(filters), plain_cosine(filters), atol=1e-14)


def test_cosine_rounds_the_distance():
    filters = drawn(20, 3)
    rounded = 1.0 - measure.cosine(filters, decimals=5)
    np.testing.assert_allclose(rounded, np.round(1.0 - plain_cosine(filters), 5), atol=1e-12)
    with pytest.raises(InputError, match="decimals: got 16"):
        measure.cosine(drawn(), decimals=16)


@every_case
def test_euclidean_and_gram(filters):
    blocks = [block for _, block in distance_blocks(torch.from_numpy(filters))]
    np.testing.assert_allclose(torch.cat(blocks), cdist(filters, filters), atol=1e-12)
    np.testing.assert_allclose(measure.gram(filters), [[f @ g for g in filters] for f in filters], atol=1e-12)


def plain_nystrom(filters, m, k):
    """C pinv(A_k) C^T written out."""
    s = plain_cosine(filters)
    c, a = s[:, :m], s[:m, :m]
    u, q, vt = np.linalg.svd(a)
    kept = q[:k] > 1e-10 * max(q[0], 1e-300)
    inverse = (vt[:k][kept].T / q[:k][kept]) @ u[:, :k][:, kept].T
    return c @ inverse @ c.T


@pytest.mark.parametrize(
    ("n", "d", "m", "k"),
    [(12, 5, 3, 3), (12, 5, 3, 2), (12, 5, 8, 8), (12, 5, 8, 4), (12, 20, 12, 12), (6, 4, 1, 1)],
)
def test_nystrom_equals_the_formula(n, d, m, k):
    filters = drawn(n, d)
    expected = plain_nystrom(filters, m, k)
    np.testing.assert_allclose(measure.nystrom_cosine(filters, columns=m, rank=k), expected, atol=1e-10)
    factor = measure.nystrom_factor(filters, columns=m, rank=k)
    assert factor.shape[1] <= min(m, d)
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-10)
    delta = np.linalg.norm(plain_cosine(filters) - expected, 2)
    np.testing.assert_allclose(measure.nystrom_error(filters, columns=m, rank=k), delta, atol=1e-9)


@every_case
def test_nystrom_is_exact_by_default(filters):
    np.testing.assert_allclose(measure.nystrom_cosine(filters), plain_cosine(filters), atol=1e-9)
    assert measure.nystrom_error(filters) < 1e-8


def test_nystrom_takes_as_few_columns_as_span_the_filters():
    filters = drawn(40, 9)
    assert measure.nystrom_factor(filters).shape == (40, 9)
    filters[:5] = filters[0]  # the first five span one direction
    assert measure.nystrom_error(filters, columns=9) > 0.1
    assert measure.nystrom_error(filters, columns=13) < 1e-8
    assert measure.nystrom_error(filters) < 1e-8


def test_nystrom_error_falls_with_the_rank():
    filters = drawn(30, 9)
    errors = [measure.nystrom_error(filters, columns=9, rank=k) for k in range(1, 10)]
    assert errors == sorted(errors, reverse=True)


def test_nystrom_names_bad_settings():
    with pytest.raises(InputError, match="columns is 10; give 1 to 9"):
        measure.nystrom_cosine(drawn(), columns=10)
    with pytest.raises(InputError, match="rank: got 4; give 1 to 3"):
        measure.nystrom_cosine(drawn(), columns=3, rank=4)


BETA, GAMMA = np.array([0.3, -1.0, 2.0, 0.0, 0.7]), np.array([1.0, -0.5, 0.2, 1.5, 1e-3])
ENTRIES = np.stack([BETA, GAMMA], axis=1)


def expected_square(f, i, j):
    """E[(f(X_i) - f(X_j))^2] of independent normal channels, integrated numerically."""
    moment = np.zeros((2, 3))
    for row, c in enumerate((i, j)):
        normal = stats.norm(BETA[c], abs(GAMMA[c]))
        span = (BETA[c] - 12 * abs(GAMMA[c]), BETA[c] + 12 * abs(GAMMA[c]))
        for power in (1, 2):
            moment[row, power] = integrate.quad(
                lambda x, p=power, d=normal: f(x) ** p * d.pdf(x), *span, points=[BETA[c], 0.0], limit=200
            )[0]
    return moment[0, 2] + moment[1, 2] - 2 * moment[0, 1] * moment[1, 1]


@pytest.mark.parametrize(("kind", "f"), [("independent", lambda x: x), ("relu", lambda x: max(x, 0.0))])
def test_independent_channel_distances_are_expectations(kind, f):
    got = measure.channel_distances(ENTRIES, kind=kind)
    for i in range(5):
        for j in range(5):
            assert got[i, j] == pytest.approx(expected_square(f, i, j), abs=1e-6)


def test_wasserstein_is_the_distance_of_sorted_samples():
    places = (np.arange(200000) + 0.5) / 200000
    quantiles = [stats.norm(b, abs(g)).ppf(places) for b, g in zip(BETA, GAMMA, strict=True)]
    got = measure.channel_distances(ENTRIES, kind="wasserstein")
    for i in range(5):
        for j in range(5):
            assert got[i, j] == pytest.approx(np.mean((quantiles[i] - quantiles[j]) ** 2), abs=1e-3)


def test_channels_that_are_constant():
    got = measure.channel_distances(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), kind="relu")
    np.testing.assert_allclose(got, [[0, 1, 1], [1, 0, 0], [1, 0, 0]])


def test_channel_distances_name_what_is_wrong():
    with pytest.raises(InputError, match="kind: got 'cosine'"):
        measure.channel_distances(ENTRIES, kind="cosine")
    for wrong in (measure.channel_distances, measure.bn_scale):
        with pytest.raises(InputError, match=r"expected shape \(n, 2\)"):
            wrong(CASES["random"])
