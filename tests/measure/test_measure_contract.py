"""What every measure of filters promises: one list, and each promise proven for all in it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from secateurs import measure
from secateurs.errors import InputError

TAPS = 4
WORTHS = [
    measure.L1Norm(),
    measure.L2Norm(),
    measure.Random(seed=3),
    measure.GeometricMedian(),
    measure.GeometricMean(),
    measure.OperatorNorm(taps=TAPS),
    measure.WeightedDegree(),
    measure.AbsoluteDegree(),
    measure.Betweenness(),
    measure.Betweenness(faithful=True),
    measure.Closeness(),
    measure.Closeness(faithful=True),
    measure.Eigenvector(),
    measure.PageRank(),
]
LIKENESSES = [
    measure.Cosine(),
    measure.Cosine(decimals=5),
    measure.NystromCosine(),
    measure.NystromCosine(columns=4),
    measure.Euclidean(),
    measure.Gram(),
]
DISTRIBUTIONS = [measure.ChannelDistribution(kind) for kind in ("independent", "wasserstein", "relu")]
ALL = WORTHS + LIKENESSES + DISTRIBUTIONS


def name(m):
    return repr(m)


def filters_for(m, seed=0, n=14):
    return np.random.default_rng(seed).standard_normal((n, 2 if m in DISTRIBUTIONS else 3 * TAPS))


def changed(filters, trait, seed):
    rng = np.random.default_rng(seed + 1000)
    n, d = filters.shape
    if trait == "scale":
        return 3.7 * filters
    if trait == "sign":
        signs = np.where(np.arange(n) < n // 2, -1.0, 1.0)
        return filters * rng.permutation(signs)[:, None]
    if trait == "shift":
        return filters + 2.0 * rng.standard_normal(d)
    return filters @ np.linalg.qr(rng.standard_normal((d, d)))[0]


def entries(score):
    return score if score.ndim == 1 else score[np.triu_indices(len(score), 1)]


def inversions(before, after):
    """Pairs that swapped places by more than rounding."""
    gap, other = before[:, None] - before, after[:, None] - after
    tolerance, other_tolerance = 1e-9 * np.ptp(before), 1e-9 * np.ptp(after)
    return int(np.sum((gap > tolerance) & (other < -other_tolerance)))


@pytest.mark.parametrize("m", ALL, ids=name)
@pytest.mark.parametrize("trait", ["scale", "sign", "shift", "rotation"])
def test_traits_hold_where_declared_and_fail_where_not(m, trait):
    swapped = 0
    for seed in range(6):
        filters = filters_for(m, seed)
        swapped += inversions(entries(m(filters)), entries(m(changed(filters, trait, seed))))
    assert (swapped == 0) == getattr(m.traits, trait), f"{swapped} pairs swapped places"


@pytest.mark.parametrize("m", ALL, ids=name)
def test_one_finite_number_each_and_the_input_stays(m):
    filters = filters_for(m)
    before = filters.copy()
    score = m(filters)
    assert score.shape == ((len(filters),) if m in WORTHS else (len(filters), len(filters)))
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    np.testing.assert_array_equal(filters, before)
    if m not in WORTHS:
        np.testing.assert_array_equal(score, score.T)


@pytest.mark.parametrize("m", [m for m in ALL if m != measure.Random(seed=3)], ids=name)
def test_reordering_filters_reorders_scores(m):
    if m == measure.NystromCosine(columns=4):
        pytest.skip("the Nyström approximation rests on which filters come first")
    filters = filters_for(m)
    order = np.random.default_rng(1).permutation(len(filters))
    score, reordered = m(filters), m(filters[order])
    np.testing.assert_allclose(
        reordered, score[order] if score.ndim == 1 else score[np.ix_(order, order)], atol=1e-9
    )


@pytest.mark.parametrize("m", ALL, ids=name)
def test_tensors_give_the_same_as_arrays(m):
    filters = filters_for(m)
    score = m(torch.from_numpy(filters))
    assert isinstance(score, torch.Tensor)
    np.testing.assert_allclose(score.numpy(), m(filters), rtol=1e-12)
    single = m(torch.from_numpy(filters).float().requires_grad_())
    assert single.dtype == torch.float64
    assert not single.requires_grad


@pytest.mark.parametrize("m", ALL, ids=name)
def test_degenerate_filters_are_no_trouble(m):
    width = 2 if m in DISTRIBUTIONS else 3 * TAPS
    one = np.random.default_rng(5).standard_normal((1, width))
    cases = [
        one,
        np.zeros((1, width)),
        np.zeros((4, width)),
        np.repeat(one, 5, axis=0),
        np.concatenate([one, -one, 0 * one]),
    ]
    for filters in cases:
        if isinstance(m, measure.NystromCosine) and m.columns and m.columns > len(filters):
            continue
        assert np.isfinite(m(filters)).all()


@pytest.mark.parametrize("m", ALL, ids=name)
def test_bad_filters_are_named(m):
    filters = filters_for(m)
    filters[2, 1] = np.nan
    with pytest.raises(InputError, match=r"NaN or infinite, the first at index \(2, 1\)"):
        m(filters)
    with pytest.raises(InputError, match="expected 2 axes"):
        m(np.ones(3))
    with pytest.raises(InputError, match="is empty"):
        m(np.ones((0, 12)))


@pytest.mark.parametrize("m", ALL, ids=name)
def test_settings_are_frozen_and_compare(m):
    with pytest.raises(AttributeError):
        m.traits = None
    assert hash(m) == hash(replace(m))
    assert m == replace(m)


def test_every_measure_of_filters_is_in_the_list():
    listed = {type(m).__name__ for m in ALL}
    exported = {n for n in measure.__all__ if hasattr(getattr(measure, n), "traits")}
    assert exported == listed
