"""Orders from likeness: nearest pairs (whole, by tiles), most similar pair, clusters."""

import numpy as np
import plain
import pytest
import torch
from scipy.cluster import hierarchy

from secateurs.arrays import normalise_rows
from secateurs.contracts import Factor
from secateurs.errors import InputError
from secateurs.measure import channel_distances, cosine, nystrom, nystrom_factor
from secateurs.methods import part
from secateurs.select import (
    by_redundancy,
    by_worth,
    cluster,
    most_similar_pair,
    nearest_pairs,
    nearest_pairs_of_factor,
    nearest_pairs_of_rows,
)


def normalised(filters):
    return normalise_rows(torch.from_numpy(filters)).numpy()


def degenerate():
    base = plain.filters(9, 4)
    duplicate, zero, opposite = base.copy(), base.copy(), base.copy()
    duplicate[[3, 5]] = duplicate[7]
    zero[2] = 0.0
    opposite[1] = -opposite[5]
    return {
        "random": plain.filters(30, 5),
        "few taps": plain.filters(20, 2),
        "duplicate": duplicate,
        "zero": zero,
        "opposite": opposite,
        "all equal": np.ones((6, 3)),
        "two": base[:2],
        "one": base[:1],
    }


CASES = degenerate()
every_case = pytest.mark.parametrize("filters", CASES.values(), ids=CASES)


def complete(order, n):
    assert sorted(order.units) == list(range(n))
    assert len(order.damage) == n
    assert min(order.damage) >= 0


@every_case
def test_nearest_pairs_equal_the_plain_rule_round_after_round(filters):
    likeness = cosine(filters, decimals=5)
    order = nearest_pairs(likeness)
    complete(order, len(filters))
    left, gone = list(range(len(filters))), 0
    while len(left) > 1:
        kept = [left[i] for i in plain.nearest_pairs_once(likeness[np.ix_(left, left)])]
        step = len(left) - len(kept)
        assert set(order.units[gone : gone + step]) == set(left) - set(kept)
        if gone == 0:
            assert order.own == step
            assert 2 * step <= len(left)
        left, gone = kept, gone + step
    assert order.units[-1] == left[0]


def test_nearest_pairs_damage_is_the_distance_to_who_marked():
    angle = np.array([0.0, 0.1, 1.0, 1.3])
    s = cosine(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    order = nearest_pairs(s)
    assert order.units[:2] == (1, 3)
    np.testing.assert_allclose(order.damage[:2], [1 - np.cos(0.1), 1 - np.cos(0.3)], atol=1e-11)


def test_a_marked_filter_that_was_kept_already_stays():
    # 0 and 1 are the closest pair; 2 is nearest to 0, which is kept by then.
    s = np.array([[1.0, 0.9, 0.8], [0.9, 1.0, 0.1], [0.8, 0.1, 1.0]])
    assert nearest_pairs(s).units == (1, 2, 0)
    assert nearest_pairs(s).own == 1


def test_faithful_uses_the_second_smallest_entry():
    filters = plain.filters(16, 3)
    filters[9] = filters[4]
    s = cosine(filters, decimals=5)
    distance = np.round(1.0 - s, 5)
    second = np.argsort(distance, axis=1, kind="stable")[:, 1]
    assert second[9] == 9  # its own neighbour
    kept, red = [], []
    for i in np.argsort(distance[np.arange(16), second], kind="stable"):
        if i not in red:
            kept.append(int(i))
            red.append(int(second[i]))
    order = nearest_pairs(s, faithful=True)
    assert set(order.units[order.own :]) == set(kept)


def test_faithful_ends_where_everything_is_its_own_neighbour():
    order = nearest_pairs(np.ones((4, 4)), faithful=True)
    assert sorted(order.units) == [0, 1, 2, 3]


@every_case
@pytest.mark.parametrize("decimals", [None, 5, 1])
def test_rows_give_the_same_order_as_the_whole_matrix(filters, decimals):
    whole = nearest_pairs(cosine(filters, decimals=decimals))
    by_rows = nearest_pairs_of_rows(normalised(filters), decimals=decimals)
    assert by_rows.units == whole.units
    assert by_rows.own == whole.own
    np.testing.assert_allclose(by_rows.damage, whole.damage, atol=1e-11)


@pytest.mark.parametrize("n", [700, 1500])
def test_many_rows_in_many_tiles(n, monkeypatch):
    filters = plain.filters(n, 9)
    filters[n // 2 : n // 2 + 50] = filters[:50]
    for size, value in {"_HEIGHT": 20, "_WIDTH": 60, "_STRIPES": 5, "_BLOCK": 5000}.items():
        monkeypatch.setattr(f"secateurs.select.nearest_rows.{size}", value)
    whole = nearest_pairs(cosine(filters, decimals=5))
    by_rows = nearest_pairs_of_rows(torch.from_numpy(nystrom_factor(filters)), decimals=5)
    assert by_rows.units == whole.units
    assert by_rows.own == whole.own


def test_near_ties_are_settled_in_float64():
    """Pairs that float32 cannot tell apart."""
    rng = np.random.default_rng(0)
    angle = np.repeat(rng.random(300) * 6, 4) + 1e-5 * rng.random(1200)
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert nearest_pairs_of_rows(rows).units == nearest_pairs(cosine(rows)).units


def test_one_round_is_the_start_of_the_whole_order():
    rows = normalised(plain.filters(40, 3))
    whole, first = nearest_pairs_of_rows(rows), nearest_pairs_of_rows(rows, rounds=1)
    assert first.own == whole.own
    assert first.units[: first.own] == whole.units[: whole.own]
    assert sorted(first.units) == list(range(40))
    with pytest.raises(InputError, match="rounds: got 0"):
        nearest_pairs_of_rows(rows, rounds=0)


@every_case
def test_most_similar_pair_equals_the_plain_rule(filters):
    q = cosine(filters, decimals=5)
    order = most_similar_pair(q, threshold=0.5)
    units, strengths = plain.most_similar_pair(q)
    assert list(order.units) == units
    complete(order, len(filters))
    assert order.own == sum(s >= 0.5 for s in strengths)
    np.testing.assert_allclose(order.damage[:-1], [max(0.0, q.max()) - s for s in strengths])


def test_what_differs_by_rounding_is_a_tie():
    q = cosine(plain.filters(12, 3), decimals=2)
    noise = 1e-15 * np.random.default_rng(0).standard_normal(q.shape)
    assert most_similar_pair(q + noise + noise.T).units == most_similar_pair(q).units
    assert most_similar_pair(q * 37).units == most_similar_pair(q).units


def test_most_similar_pair_without_a_threshold_has_no_ratio_of_its_own():
    assert most_similar_pair(cosine(plain.filters(5, 3))).own is None


@pytest.mark.parametrize("linkage", ["average", "complete", "single"])
def test_cutting_a_cluster_tree_keeps_the_worthiest_of_each_cluster(linkage):
    rng = np.random.default_rng(0)
    beta, gamma = rng.standard_normal(25), rng.standard_normal(25)
    d = channel_distances(np.stack([beta, gamma], axis=1))
    order = cluster(d, worth=np.abs(gamma), linkage=linkage)
    tree = hierarchy.linkage(d[np.triu_indices(25, 1)], method=linkage)
    for threshold in np.quantile(tree[:, 2], [0.0, 0.3, 0.7, 1.0]):
        labels = hierarchy.fcluster(tree, threshold, criterion="distance")
        expected = {max(np.flatnonzero(labels == k), key=lambda i: abs(gamma[i])) for k in set(labels)}
        own = cluster(d, worth=np.abs(gamma), linkage=linkage, threshold=float(threshold)).own
        assert set(order.units[own:]) == expected
    assert list(order.damage) == sorted(order.damage)


def test_without_worth_the_one_in_the_middle_speaks():
    x = np.array([0.0, 1.0, 2.2, 9.0])
    d = np.abs(x[:, None] - x)
    order = cluster(d)
    # 0 and 1 are equally near to each other; 0 is nearer to the rest of {0, 1, 2} than 2, and than 3 to all
    assert order.units == (1, 2, 3, 0)


@every_case
def test_clusters_hold_every_unit(filters):
    complete(cluster(1.0 - cosine(filters, decimals=5)), len(filters))


def test_relative_clusters_are_those_of_distances_over_their_mean():
    x = plain.filters(8, 1)[:, 0]
    d = np.abs(x[:, None] - x)
    mean = d.sum() / (8 * 7)
    found, expected = cluster(d, threshold=0.4, relative=True), cluster(d, threshold=0.4 * mean)
    assert (found.units, found.own) == (expected.units, expected.own)
    np.testing.assert_allclose(found.damage, np.array(expected.damage) / mean)


def test_clusters_name_what_is_wrong():
    d = np.ones((3, 3))
    with pytest.raises(InputError, match="linkage: got 'ward'"):
        cluster(d, linkage="ward")
    with pytest.raises(InputError, match="worth: 2 units, but distances have 3"):
        cluster(d, worth=np.ones(2))
    with pytest.raises(InputError, match="distances: found -1"):
        cluster(-d)


def test_worth_goes_up_and_ties_by_index():
    order = by_worth(np.array([3.0, 1.0, 2.0, 1.0]))
    assert order.units == (1, 3, 2, 0)
    assert order.damage == (1.0, 1.0, 2.0, 3.0)
    assert by_worth(torch.tensor([-1.0, 2.0])).damage is None
    assert by_redundancy(np.array([3.0, 1.0, 2.0, 3.0])).units == (0, 3, 2, 1)


@pytest.mark.parametrize("select", [nearest_pairs, most_similar_pair, cluster])
def test_bad_likeness_is_named(select):
    with pytest.raises(InputError, match=r"expected shape \(n, n\)"):
        select(np.ones((2, 3)))
    with pytest.raises(InputError, match="halves differ"):
        select(np.array([[1.0, 0.5], [0.1, 1.0]]))
    with pytest.raises(InputError, match="NaN"):
        select(np.full((2, 2), np.nan))


@pytest.mark.parametrize(
    "select", [nearest_pairs, part(nearest_pairs, faithful=True), most_similar_pair, cluster]
)
def test_tensors_give_the_same_order_and_stay_untouched(select):
    s = np.maximum(cosine(plain.filters(11, 4)), 0.0)
    before = s.copy()
    assert select(torch.from_numpy(s)) == select(s)
    np.testing.assert_array_equal(s, before)


def test_coarse_float32_products_are_not_trusted():
    rows = normalised(plain.filters(600, 9))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")  # may be bfloat16
        assert nearest_pairs_of_rows(rows).units == nearest_pairs(cosine(rows)).units
    finally:
        torch.set_float32_matmul_precision(before)


def test_rows_of_coupled_layers_stand_side_by_side():
    """Likeness adds up over layers, to more than 1."""
    banks = [normalised(plain.filters(60, d, seed=d)) for d in (4, 7, 9)]
    whole = nearest_pairs(sum(cosine(bank) for bank in banks))
    by_rows = nearest_pairs_of_rows(np.concatenate(banks, axis=1), decimals=9)
    assert by_rows.units == whole.units
    np.testing.assert_allclose(by_rows.damage, whole.damage, atol=1e-8)


def test_factors_of_coupled_layers_add_up_and_leave_a_note():
    one, two = (torch.from_numpy(plain.filters(20, d, seed=d)) for d in (3, 6))
    both = nystrom(one, columns=2) + nystrom(two)
    order = nearest_pairs_of_factor(both)
    assert order.units == nearest_pairs(both.rows @ both.rows.T).units
    exact = [cosine(f) - (b := nystrom_factor(f, columns=m)) @ b.T for f, m in ((one, 2), (two, None))]
    worst = max(float(torch.linalg.matrix_norm(e, 2)) for e in exact)
    assert order.notes["columns"] == [2, 6]
    assert order.notes["nystrom_error"] == pytest.approx(worst)


def test_a_factor_is_a_likeness():
    rows = torch.eye(3, dtype=torch.float64)
    assert nearest_pairs_of_factor(Factor(rows, (3,), 0.0)).units == nearest_pairs(rows @ rows.T).units
