"""What every measure of filters promises: one list, and each promise proven for all in it."""

import pickle

import numpy as np
import pytest
import torch

from secateurs import measure
from secateurs.errors import InputError
from secateurs.methods import part

CHANNELS, TAPS = 3, 4
WORTHS = [
    measure.l1_norm,
    measure.l2_norm,
    part(measure.random_worth, seed=3),
    measure.distance_to_all,
    measure.geometric_mean_gap,
    measure.operator_norm_score,
    measure.weighted_degree,
    measure.absolute_degree,
    measure.betweenness,
    part(measure.betweenness, faithful=True),
    measure.closeness,
    part(measure.closeness, faithful=True),
    measure.eigenvector_centrality,
    measure.pagerank,
    measure.bn_scale,
]
LIKENESSES = [
    measure.cosine,
    part(measure.cosine, decimals=5),
    measure.nystrom_cosine,
    part(measure.nystrom_cosine, columns=4),
    measure.gram,
]
DISTRIBUTIONS = [
    part(measure.channel_distances, kind=kind) for kind in ("independent", "wasserstein", "relu")
]
ALL = WORTHS + LIKENESSES + DISTRIBUTIONS
ENTRIES = [measure.bn_scale, *DISTRIBUTIONS]  # rows are (beta, gamma)


def function(m):
    return getattr(m, "function", m)


def name(m):
    return " ".join([function(m).__name__, *(f"{k}={v}" for k, v in getattr(m, "settings", ()))])


def shape_for(m, n):
    if m in ENTRIES:
        return n, 2
    return (n, CHANNELS, TAPS) if m is measure.operator_norm_score else (n, CHANNELS * TAPS)


def filters_for(m, seed=0, n=14):
    return np.random.default_rng(seed).standard_normal(shape_for(m, n))


def changed(filters, trait, seed):
    rng = np.random.default_rng(seed + 1000)
    if filters.ndim == 3:
        return changed(filters.reshape(len(filters), -1), trait, seed).reshape(filters.shape)
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
    assert (swapped == 0) == getattr(function(m).traits, trait), f"{swapped} pairs swapped places"


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


@pytest.mark.parametrize("m", [m for m in ALL if function(m) is not measure.random_worth], ids=name)
def test_reordering_filters_reorders_scores(m):
    if m == part(measure.nystrom_cosine, columns=4):
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
    one = filters_for(m, 5, n=1)
    cases = [
        one,
        np.zeros(shape_for(m, 1)),
        np.zeros(shape_for(m, 4)),
        np.repeat(one, 5, axis=0),
        np.concatenate([one, -one, 0 * one]),
    ]
    for filters in cases:
        if m == part(measure.nystrom_cosine, columns=4) and len(filters) < 4:
            continue
        assert np.isfinite(m(filters)).all()


@pytest.mark.parametrize("m", ALL, ids=name)
def test_bad_filters_are_named(m):
    filters = filters_for(m)
    place = (2, 1, 0)[: filters.ndim]
    filters[place] = np.nan
    with pytest.raises(
        InputError, match=rf"NaN or infinite, the first at index \({', '.join(map(str, place))}\)"
    ):
        m(filters)
    with pytest.raises(InputError, match=f"expected {filters.ndim} axes"):
        m(np.ones(3))
    with pytest.raises(InputError, match="is empty"):
        m(np.ones(shape_for(m, 0)))


@pytest.mark.parametrize("m", ALL, ids=name)
def test_measures_are_values(m):
    again = pickle.loads(pickle.dumps(m))
    assert m == again
    assert hash(m) == hash(again)


def test_every_measure_of_filters_is_in_the_list():
    listed = {function(m).__name__ for m in ALL}
    exported = {n for n in measure.__all__ if hasattr(getattr(measure, n), "traits")}
    assert exported == listed
