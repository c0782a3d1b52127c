import numpy as np
import pytest
import torch

from secateurs.errors import InputError
from secateurs.select.moments import Consumer, moments


def slow(x, weights, columns):
    """Greedy elimination with a fresh least-squares fit for every candidate."""
    target = x @ weights.T
    variance = target.var(0).sum()
    alive, units, damage, last = list(range(len(columns))), [], [], 0.0
    while alive:
        best = None
        for k in alive:
            rest = [c for j in alive if j != k for c in columns[j]]
            design = np.concatenate([x[:, rest], np.ones((len(x), 1))], 1)
            fit = design @ np.linalg.lstsq(design, target, rcond=None)[0]
            error = ((target - fit) ** 2).sum() / len(x)
            if best is None or error < best[0] - 1e-9:
                best = (error, k)
        units.append(best[1])
        damage.append((best[0] - last) / variance)
        last = best[0]
        alive.remove(best[1])
    return units, damage


@pytest.mark.parametrize("seed", range(4))
def test_order_and_damage_equal_fresh_fits(seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    weights = rng.normal(size=(5, 12))
    columns = rng.permutation(12).reshape(6, 2)
    s = np.concatenate([x, np.ones((300, 1))], 1)
    reader = Consumer(torch.tensor(s.T @ s / 300)[None], torch.tensor(weights)[None], columns)
    order = moments([reader], ridge=1e-12)
    units, damage = slow(x, weights, columns)
    assert list(order.units) == units
    np.testing.assert_allclose(order.damage, damage, rtol=1e-4, atol=1e-8)


def test_duplicates_and_dead_units_leave_first_at_no_cost():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    x[:, 3] = x[:, 1]
    x[:, 4] = 0.0
    s = np.concatenate([x, np.ones((200, 1))], 1)
    weights = rng.normal(size=(3, 5))
    order = moments(
        [Consumer(torch.tensor(s.T @ s / 200)[None], torch.tensor(weights)[None], np.arange(5)[:, None])]
    )
    assert set(order.units[:2]) <= {1, 3, 4}
    assert max(order.damage[:2]) < 1e-5
    assert np.isfinite(order.damage).all()


def test_fewer_samples_than_columns_is_sound():
    x = np.random.default_rng(0).normal(size=(4, 9))
    s = np.concatenate([x, np.ones((4, 1))], 1)
    order = moments(
        [Consumer(torch.tensor(s.T @ s / 4)[None], torch.ones(1, 2, 9).double(), np.arange(9)[:, None])]
    )
    assert sorted(order.units) == list(range(9))
    assert np.isfinite(order.damage).all()


def test_moments_that_rounding_left_indefinite_give_an_order():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(40, 400)) + 3, dtype=torch.float32)  # far fewer rows than columns
    s = torch.cat([x, torch.ones(40, 1)], 1)
    gram = (s.T @ s / 40).double()
    assert float(torch.linalg.eigvalsh(gram + 1e-6 * gram.diagonal().mean() * torch.eye(401))[0]) < 0
    weights = torch.tensor(rng.normal(size=(1, 5, 400)))
    order = moments([Consumer(gram[None], weights, np.arange(400).reshape(100, 4))])
    assert sorted(order.units) == list(range(100))
    assert np.isfinite(order.damage).all()
    assert sum(order.damage[:50]) < 0.01  # 40 rows are reproduced by any 40 columns


def test_bad_input_is_refused():
    good = Consumer(torch.eye(3)[None].double(), torch.ones(1, 1, 2).double(), np.arange(2)[:, None])
    with pytest.raises(InputError, match="no layer reads"):
        moments([])
    with pytest.raises(InputError, match="ridge"):
        moments([good], ridge=0)
    with pytest.raises(InputError, match="NaN"):
        moments([Consumer(torch.full((1, 3, 3), torch.nan).double(), good.weights, good.columns)])
