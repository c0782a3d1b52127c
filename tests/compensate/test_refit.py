import numpy as np
import pytest
import torch

from secateurs.compensate import conjugate_gradients, refit
from secateurs.compensate.refit import unexplained
from secateurs.compensate.walk import Paired, _ridge
from secateurs.errors import InputError


def problem(x, y):
    s = np.concatenate([x, np.ones((len(x), 1))], 1)
    return torch.tensor(s.T @ s / len(x))[None], torch.tensor(s.T @ y / len(x))[None]


def test_refit_equals_lstsq_on_all_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 6)) + 2, rng.normal(size=(100, 3))
    gram, cross = problem(x, y)
    weights, bias = refit(gram, cross, torch.zeros(1, 3, 6).double(), ridge=1e-13)
    s = np.concatenate([x, np.ones((100, 1))], 1)
    expected, residual, *_ = np.linalg.lstsq(s, y, rcond=None)
    np.testing.assert_allclose(weights[0], expected[:-1].T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(bias[0], expected[-1], rtol=1e-6, atol=1e-8)
    energy = torch.tensor((y**2).mean(0))[None]
    np.testing.assert_allclose(
        unexplained(gram, cross, energy, weights, bias)[0], residual.sum() / 100, rtol=1e-6
    )


def test_ridge_keeps_weights_where_the_data_say_nothing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 8))  # fewer samples than inputs
    x[:, 5] = 0.0  # dead
    old = rng.normal(size=(2, 8))
    gram, cross = problem(x, x @ old.T + 1.0)
    weights, bias = refit(gram, cross, torch.tensor(old)[None])
    np.testing.assert_allclose(weights[0], old, atol=1e-6)
    np.testing.assert_allclose(bias[0], 1.0, atol=1e-6)


def test_all_dead_inputs_leave_a_bias():
    gram, cross = problem(np.zeros((4, 2)), np.full((4, 1), 3.0))
    weights, bias = refit(gram, cross, torch.zeros(1, 1, 2).double())
    assert torch.equal(weights, torch.zeros(1, 1, 2).double())
    assert float(bias) == pytest.approx(3.0)


def test_refit_refuses_bad_input():
    gram, cross = problem(np.ones((4, 2)), np.ones((4, 1)))
    with pytest.raises(InputError, match="ridge"):
        refit(gram, cross, torch.zeros(1, 1, 2).double(), ridge=0.0)
    with pytest.raises(InputError, match="NaN"):
        refit(gram * torch.nan, cross, torch.zeros(1, 1, 2).double())


def test_conjugate_gradients_solve_in_as_many_steps_as_unknowns():
    rng = np.random.default_rng(2)
    j = torch.tensor(rng.normal(size=(20, 6)))
    r = j.T @ torch.tensor(rng.normal(size=20))
    x = conjugate_gradients(lambda p: [j.T @ (j @ p[0])], [r], lambda p: [p[0] / j.square().sum(0)], 6)[0]
    np.testing.assert_allclose(x, np.linalg.solve(j.T @ j, r), rtol=1e-8)
    zero = conjugate_gradients(lambda p: p, [torch.zeros(3)], lambda p: p, 5)[0]
    assert torch.equal(zero, torch.zeros(3))


def test_conjugate_gradients_give_the_step_that_other_data_like_best():
    rng = np.random.default_rng(0)
    a, held = torch.as_tensor(rng.normal(size=(12, 8))), torch.as_tensor(rng.normal(size=(12, 8)))
    truth = torch.as_tensor(rng.normal(size=8))
    y = a @ truth + 3 * torch.as_tensor(rng.normal(size=12))
    z = held @ truth

    def watch(x):
        return float((held @ x[0] - z).square().sum())

    def solve(steps, watched):
        return conjugate_gradients(
            lambda x: [a.T @ (a @ x[0])], [a.T @ y], lambda r: r, steps, watch if watched else None
        )

    errors = [watch(solve(steps, False)) for steps in range(1, 9)]
    assert min(errors) < errors[-1]  # to the end would be too far
    first = next(
        i
        for i in range(8)
        if errors[i + 1 :][:2] == sorted(errors[i + 1 :][:2]) and errors[i + 1] >= errors[i]
    )
    assert watch(solve(8, True)) == pytest.approx(errors[first])


def test_directions_lost_in_rounding_keep_their_weights():
    lost = torch.tensor([[1.0, 1.0], [1.0, 1.0]]).double()[None] - 1e-9 * torch.eye(2).double()
    gram = torch.zeros(1, 3, 3).double()
    gram[:, :2, :2], gram[:, 2, 2] = lost, 1.0
    weights, _ = refit(gram, gram[:, :, :1].clone(), torch.tensor([[[5.0, 2.0]]]).double(), ridge=1e-12)
    assert weights[0, 0].sum() == pytest.approx(1.0, abs=1e-6)  # what the data say
    assert weights[0, 0, 0] - weights[0, 0, 1] == pytest.approx(3.0, abs=1e-3)  # what they do not


def test_a_wide_layer_on_few_samples_takes_the_ridge_that_other_samples_like():
    rng = np.random.default_rng(0)
    truth = torch.as_tensor(rng.normal(size=(40, 1)))

    def paired(n, noise):
        x = torch.as_tensor(rng.normal(size=(n, 1, 40)))
        return Paired.of(x, (x[:, 0] @ truth + noise * torch.as_tensor(rng.normal(size=(n, 1))))[:, None])

    near = (truth.T + 0.05)[None]  # what the weights are before is nearly right
    assert _ridge(1e-5, paired(48, 1.0), paired(400, 1.0), near, True) >= 0.1
    assert _ridge(1e-5, paired(4000, 0.0), paired(400, 0.0), torch.zeros_like(near), True) == 1e-5
    assert _ridge(1e-5, paired(48, 1.0), None, near, True) == 1e-5
