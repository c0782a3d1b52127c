"""Measures of single filters against plain statements of their formulas."""

import networkx
import numpy as np
import pytest
import torch
from scipy.stats import gmean

from secateurs import measure
from secateurs.errors import InputError
from secateurs.measure.euclidean import distance_blocks


def drawn(n=9, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def cases():
    base = drawn()
    duplicate, zero, opposite = base.copy(), base.copy(), base.copy()
    duplicate[3] = duplicate[7]
    zero[2] = 0.0
    opposite[1] = -opposite[5]
    return {
        "random": base,
        "duplicate": duplicate,
        "zero": zero,
        "opposite": opposite,
        "one": base[:1],
        "two": base[:2],
        "few taps": drawn(12, 2),
    }


CASES = cases()
every_case = pytest.mark.parametrize("filters", CASES.values(), ids=CASES)


@every_case
def test_norms(filters):
    np.testing.assert_allclose(measure.l1_norm(filters), [sum(abs(w) for w in f) for f in filters])
    np.testing.assert_allclose(measure.l2_norm(filters), [sum(w * w for w in f) ** 0.5 for f in filters])


@every_case
def test_geometric_median(filters):
    plain = [sum(np.linalg.norm(f - g) for g in filters) for f in filters]
    np.testing.assert_allclose(measure.distance_to_all(filters), plain, rtol=1e-10)


def test_geometric_median_far_from_the_origin_and_in_blocks(monkeypatch):
    filters = drawn(40, 5) + 1e6
    filters[7] = filters[8]
    plain = np.array([sum(np.linalg.norm(f - g) for g in filters) for f in filters])
    np.testing.assert_allclose(measure.distance_to_all(filters), plain, rtol=1e-8)
    monkeypatch.setattr("secateurs.measure.euclidean._BLOCK", 100)
    np.testing.assert_allclose(measure.distance_to_all(filters), plain, rtol=1e-8)
    assert torch.cat([block for _, block in distance_blocks(torch.from_numpy(filters))])[7, 8] == 0
    assert np.all(measure.distance_to_all(np.ones((6, 4))) == 0)


@every_case
def test_geometric_mean(filters):
    with np.errstate(divide="ignore"):
        plain = [(gmean(np.abs(filters).ravel()) - gmean(np.abs(f))) ** 2 for f in filters]
    np.testing.assert_allclose(measure.geometric_mean_gap(filters), plain, atol=1e-15)


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize(("n", "c", "t"), [(8, 3, 4), (3, 2, 9), (1, 2, 4), (5, 1, 1)])
def test_operator_norm(n, c, t, faithful):
    weights = drawn(n, c * t).reshape(n, c, t)
    score = np.zeros(n)
    for channel in range(c):
        kernels = weights[:, channel]
        centred = kernels - kernels.mean(axis=0)
        left, _, right = np.linalg.svd(centred)
        first = left[0, 0] * right[0]
        direction = first / (np.linalg.norm(first) or 1.0)
        share = centred @ direction
        score += share if faithful else share**2
    expected = score**2 if faithful else score
    got = measure.operator_norm_score(weights, faithful=faithful)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def plain_cosine(filters):
    n = len(filters)
    s = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            size = np.linalg.norm(filters[i]) * np.linalg.norm(filters[j])
            s[i, j] = filters[i] @ filters[j] / size if size else 0.0
    return s


@every_case
def test_degrees(filters):
    s = plain_cosine(filters)
    np.fill_diagonal(s, 0.0)
    np.testing.assert_allclose(measure.weighted_degree(filters), s.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(measure.absolute_degree(filters), np.abs(s).sum(axis=1), atol=1e-12)


def test_absolute_degree_in_blocks(monkeypatch):
    whole = measure.absolute_degree(drawn(30))
    monkeypatch.setattr("secateurs.measure.degree._BLOCK", 70)
    np.testing.assert_allclose(measure.absolute_degree(drawn(30)), whole, atol=1e-12)


def as_graph(weights):
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(weights)))
    for i in range(len(weights)):
        for j in range(i):
            if weights[i, j] > 0:
                graph.add_edge(i, j, weight=weights[i, j], distance=weights[i, j])
    return graph


def listed(scores):
    return [scores[i] for i in range(len(scores))]


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("case", ["random", "zero", "opposite", "two", "few taps"])
def test_shortest_path_centralities_equal_networkx(case, faithful):
    filters = CASES[case]
    s = plain_cosine(filters)
    graph = as_graph(np.maximum(s if faithful else 1.0 - s, 1e-5))
    between = networkx.betweenness_centrality(graph, weight="weight", normalized=False)
    np.testing.assert_allclose(measure.betweenness(filters, faithful=faithful), listed(between), atol=1e-9)
    close = networkx.closeness_centrality(graph, distance="distance")
    np.testing.assert_allclose(measure.closeness(filters, faithful=faithful), listed(close), rtol=1e-9)


def test_of_two_equal_filters_each_gets_half_of_the_paths():
    angle = np.array([0.0, 0.5, 0.5, 1.0])
    scores = measure.betweenness(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    np.testing.assert_allclose(scores, [0.0, 0.5, 0.5, 0.0])


@pytest.mark.parametrize("case", ["random", "duplicate", "two"])
def test_spectral_centralities_equal_networkx(case):
    filters = CASES[case]
    graph = as_graph(np.maximum(plain_cosine(filters), 0.0))
    rank = networkx.pagerank(graph, weight="weight", tol=1e-12, max_iter=1000)
    if graph.number_of_edges():
        np.testing.assert_allclose(measure.pagerank(filters), listed(rank), atol=1e-9)
        vector = np.array(listed(networkx.eigenvector_centrality_numpy(graph, weight="weight")))
        np.testing.assert_allclose(measure.eigenvector_centrality(filters), vector / vector.max(), atol=1e-7)


def test_pagerank_names_a_bad_damping():
    with pytest.raises(InputError, match="damping: got 1"):
        measure.pagerank(drawn(), damping=1.0)


def test_random_depends_on_the_seed_only():
    a, b = measure.random_worth(drawn(), seed=4), measure.random_worth(drawn(seed=1), seed=4)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, measure.random_worth(drawn(), seed=5))
    assert np.all((a >= 0) & (a < 1))


def test_batch_norm_scale_is_its_size():
    np.testing.assert_array_equal(measure.bn_scale(np.array([[5.0, -2.0], [0.0, 1.0]])), [2.0, 1.0])
