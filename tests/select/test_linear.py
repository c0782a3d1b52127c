"""Orders and coefficients from Gram matrices against plain loops that solve everything afresh."""

import numpy as np
import plain
import pytest
import torch
from sklearn.linear_model import Lasso as SklearnLasso

from secateurs.errors import InputError
from secateurs.measure import gram
from secateurs.methods import part
from secateurs.select import backward, coefficients, coefficients_of_gram, lasso, lrf, omp, thinet

SHAPES = [(10, 30), (10, 10), (12, 14), (2, 3), (1, 4)]


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("reads", [None, 4, 20])
def test_lrf(n, d, reads):
    f = plain.filters(n, d)
    z = None if reads is None else plain.filters(reads, n, seed=1)
    order = lrf(gram(f), outgoing=None if z is None else z.T @ z)
    units, damage = plain.lrf(f, z)
    assert list(order.units) == units
    np.testing.assert_allclose(order.damage, damage, atol=1e-5)


@pytest.mark.parametrize(("n", "d"), [(20, 6), (12, 11), (15, 1)])
def test_where_filters_depend_on_each_other_the_ridge_decides(n, d):
    """The same order as a loop that solves the ridge regressions afresh."""
    f = plain.filters(n, d)
    rho = 1e-8 * np.mean(np.sum(f**2, axis=1))
    assert list(lrf(gram(f)).units) == plain.ridge_lrf(f, rho)
    assert list(backward(gram(f)).units) == plain.ridge_backward(f, rho)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_backward(n, d):
    f = plain.filters(n, d)
    order = backward(gram(f))
    units, damage = plain.backward(f)
    assert list(order.units) == units
    np.testing.assert_allclose(order.damage, damage, atol=1e-6 * d)


@pytest.mark.parametrize(("n", "d"), [*SHAPES, (30, 6)])
@pytest.mark.parametrize("faithful", [False, True])
def test_omp(n, d, faithful):
    f = plain.filters(n, d)
    order = omp(gram(f), faithful=faithful)
    chosen = plain.omp(f, ridge=1.0 if faithful else 0.0)
    assert list(order.units[::-1][: len(chosen)]) == chosen
    assert sorted(order.units) == list(range(n))
    if not faithful:
        assert len(chosen) == min(n, d)
        unit = f / np.linalg.norm(f, axis=1, keepdims=True)
        for keep in range(len(chosen) + 1):
            left = sum(order.damage[: n - keep])
            assert left == pytest.approx(plain.error(unit[chosen[:keep]], unit), abs=1e-8)


def test_omp_when_most_candidates_are_gone():
    """Rows and columns of chosen filters are dropped on the way; the order must not notice."""
    f = plain.filters(80, 100)
    assert list(omp(gram(f)).units[::-1]) == plain.omp(f, 0.0)
    assert list(omp(gram(f), faithful=True).units[::-1]) == plain.omp(f, 1.0)


@pytest.mark.parametrize("n", [150, 200])
def test_many_downdates_gather_no_error(n):
    f = plain.filters(n, n + 20)
    order = backward(gram(f))
    for keep in (n - 5, n // 2, 3):
        left = plain.error(f[list(order.units[n - keep :])], f)
        assert sum(order.damage[: n - keep]) == pytest.approx(left, rel=1e-6)
    order = lrf(gram(f))
    for step in (1, n // 2, n - 2):
        rest = list(order.units[step:])
        scores = [plain.error(f[[i for i in rest if i != j]], f[j][None]) for j in rest]
        own = plain.error(f[rest[1:]], f[rest[0]][None])
        assert own >= min(scores) - 1e-6
    assert order.units[0] == int(np.argmax(np.diag(np.linalg.inv(gram(f)))))


@pytest.mark.parametrize("select", [lrf, backward, omp])
def test_dead_and_repeated_filters_leave_first_at_no_damage(select):
    f = plain.filters(12, 30)
    f[4] = 0.0
    f[7] = f[2]
    f[9] = -2.0 * f[2]
    order = select(gram(f))
    assert order.units[0] == 4
    first = set(order.units[:3])
    assert len(first & {2, 7, 9}) == 2
    np.testing.assert_allclose(order.damage[:3], 0.0, atol=1e-6)
    assert order.damage[3] > 1e-3


@pytest.mark.parametrize("select", [lrf, backward, omp])
@pytest.mark.parametrize(("n", "d"), [(20, 6), (200, 30)])
def test_more_filters_than_taps(select, n, d):
    f = plain.filters(n, d)
    order = select(gram(f))
    assert sorted(order.units) == list(range(n))
    np.testing.assert_allclose(order.damage[: n - d], 0.0, atol=1e-5)
    assert plain.error(f[list(order.units[n - d :])], f) < 1e-8
    assert order.damage[n - d] > 0.01


@pytest.mark.parametrize("select", [lrf, backward, omp, part(omp, faithful=True), thinet, lasso])
def test_nothing_but_dead_filters(select):
    order = select(np.zeros((4, 4)))
    assert sorted(order.units) == [0, 1, 2, 3]
    assert order.damage == (0.0,) * 4


@pytest.mark.parametrize("select", [lrf, backward, omp, part(omp, faithful=True), thinet, lasso])
def test_scale_does_not_matter_and_tensors_are_the_same(select):
    g = gram(plain.filters(9, 20))
    before = g.copy()
    order = select(g)
    assert select(torch.from_numpy(g)) == order
    np.testing.assert_array_equal(g, before)
    for scale in (1e-12, 1e12):
        assert select(scale * g).units == order.units


@pytest.mark.parametrize("select", [lrf, backward, omp, thinet, lasso])
def test_bad_gram_matrices_are_named(select):
    with pytest.raises(InputError, match=r"gram: expected shape \(n, n\)"):
        select(np.ones((2, 3)))
    with pytest.raises(InputError, match="gram: 1 of 4 values are NaN"):
        select(np.array([[1.0, 0.0], [0.0, np.nan]]))


def test_bad_settings_are_named():
    with pytest.raises(InputError, match="ridge: got 0"):
        lrf(np.eye(2), ridge=0.0)
    with pytest.raises(InputError, match="outgoing: 3 units, but gram has 2"):
        lrf(np.eye(2), outgoing=np.eye(3))
    with pytest.raises(InputError, match="keep: got 4; give 1 to 3"):
        lasso(np.eye(3), keep=4)
    with pytest.raises(InputError, match="target: 2 channels, but gram has 3"):
        lasso(np.eye(3), np.ones(2))


@pytest.mark.parametrize(("n", "d"), [(9, 20), (9, 4)])
def test_coefficients_are_least_squares(n, d):
    f, kept = plain.filters(n, d), [7, 1, 4, 2, 0, 8]
    removed = [i for i in range(n) if i not in kept]
    expected = np.linalg.lstsq(f[kept].T, f[removed].T, rcond=1e-9)[0].T
    np.testing.assert_allclose(coefficients(f, kept), expected, atol=1e-9)
    np.testing.assert_allclose(coefficients_of_gram(gram(f), kept), expected, atol=1e-9)


def test_coefficients_of_a_duplicate_point_at_its_twin():
    f = plain.filters(5, 9)
    f[3] = f[1]
    np.testing.assert_allclose(
        coefficients(f, [0, 1, 2]), [[0, 1, 0], coefficients(f, [0, 1, 2])[1]], atol=1e-12
    )
    f[2] = f[1]  # two twins stay: they share, and the result is as good
    np.testing.assert_allclose(coefficients(f, [0, 1, 2])[0], [0, 0.5, 0.5], atol=1e-12)


def test_coefficients_with_a_ridge():
    f, kept = plain.filters(6, 9), [0, 2, 5]
    a = f[kept]
    rho = 0.1 * np.mean(np.sum(a**2, axis=1))
    expected = np.linalg.solve(a @ a.T + rho * np.eye(3), a @ f[[1, 3, 4]].T).T
    np.testing.assert_allclose(coefficients(f, kept, ridge=0.1), expected, atol=1e-12)


@pytest.mark.parametrize("kept", [[], [0, 0], [5], [-1]])
def test_bad_kept_sets_are_named(kept):
    for call in (coefficients, coefficients_of_gram):
        with pytest.raises(InputError, match="kept: need one or more different indices from 0 to 4"):
            call(np.eye(5), kept)


@pytest.mark.parametrize(("samples", "n"), [(30, 8), (3, 8), (1, 1)])
def test_thinet(samples, n):
    x = plain.filters(samples, n)
    order = thinet(x.T @ x)
    units, damage = plain.thinet(x)
    assert list(order.units) == units
    np.testing.assert_allclose(order.damage, damage, atol=1e-9)


def test_lasso_keeps_what_coordinate_descent_keeps():
    z = plain.filters(60, 10) * np.linspace(0.2, 2.0, 10)
    y = z @ np.linspace(2.0, 0.5, 10)
    for keep in (2, 5, 8):
        order = lasso(z.T @ z, z.T @ y, keep=keep)
        kept = set(order.units[-keep:])
        low, high = 1e-8, 1e3
        for _ in range(60):  # the published search: bisect lambda until the count is right
            middle = (low * high) ** 0.5
            beta = SklearnLasso(alpha=middle, fit_intercept=False, tol=1e-12, max_iter=100000).fit(z, y).coef_
            if np.sum(beta != 0) == keep:
                break
            low, high = (middle, high) if np.sum(beta != 0) > keep else (low, middle)
        assert kept == set(np.flatnonzero(beta))


def test_lasso_damage_is_the_rise_of_the_least_squares_error():
    z = plain.filters(60, 7)
    y = z.sum(axis=1) + 0.1 * plain.filters(60, 1, seed=2)[:, 0]
    order = lasso(z.T @ z, z.T @ y)
    floor = plain.error(z.T, y[None])
    for gone in range(8):
        kept = list(order.units[gone:])
        left = plain.error(z[:, kept].T, y[None]) - floor
        assert sum(order.damage[:gone]) == pytest.approx(left, abs=1e-6)


def test_lasso_drops_channels_that_repeat_others():
    z = plain.filters(40, 6)
    z[:, 5] = z[:, 0]
    order = lasso(z.T @ z)
    assert order.units[0] in (0, 5)
    assert order.damage[0] == pytest.approx(0.0, abs=1e-6)
