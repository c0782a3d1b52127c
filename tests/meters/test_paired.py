"""The bound of a paired difference against numerical likelihood, and scores against plain loops."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from secateurs.errors import InputError
from secateurs.meters.paired import Drop, Z, samples_for, upper_drop
from secateurs.meters.scoring import jackknife_error, left_out, right


def by_likelihood(b, c, n):
    """The score test inverted, with the nuisance share found by a numerical search instead of the quadratic."""

    def share(delta):
        def loss(q):
            cells = ((b, q + delta), (c, q), (n - b - c, 1 - 2 * q - delta))
            return -sum(count * np.log(max(p, 1e-300)) for count, p in cells if count)

        low, high = max(0.0, -delta), (1 - delta) / 2
        return minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x

    def excess(delta):
        q = share(delta)
        return (b - c - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta))) + Z

    return brentq(excess, (b - c) / n + 1e-12, 1 - 1e-9, xtol=1e-12)


@pytest.mark.parametrize(
    ("b", "c", "n"),
    [(0, 0, 50), (5, 0, 400), (9, 4, 400), (4, 9, 400), (0, 6, 90), (40, 11, 2165), (1, 0, 8)],
)
def test_bound_is_the_score_interval(b, c, n):
    assert upper_drop(b, c, n) == pytest.approx(by_likelihood(b, c, n), abs=1e-6)
    assert upper_drop(b, c, n) > (b - c) / n


def test_bound_of_no_change_is_exact():
    assert upper_drop(0, 0, 410) == pytest.approx(Z**2 / (410 + Z**2), rel=1e-9)


@pytest.mark.parametrize(("broken", "mended"), [(0.02, 0.01), (0.01, 0.0), (0.004, 0.002)])
def test_bound_covers_the_true_loss_nineteen_times_in_twenty(broken, mended):
    counts = np.random.RandomState(0).multinomial(500, (broken, mended, 1 - broken - mended), size=2000)
    held = np.mean([upper_drop(b, c, 500) >= broken - mended for b, c, _ in counts.tolist()])
    assert held > 0.93


def test_enough_samples_tell_the_drop():
    """A network that loses half a point and changes 2 % of the answers is within a bound of one point."""
    n = samples_for(1.0)
    assert 100 * upper_drop(0.0125 * n, 0.0075 * n, n) == pytest.approx(1.0, abs=0.05)


def test_drop_is_printed_with_its_sign():
    assert str(Drop(-0.25, 0.5, 2000)).startswith("−0.25 points lost on 2,000 held-out samples, at most 0.50")


def test_scores_against_plain_loops():
    torch.manual_seed(0)
    logits, dense = torch.randn(7, 4), torch.randn(7, 4, 3, 2)
    one, map_, many = torch.randint(4, (7,)), torch.randint(4, (7, 3, 2)), torch.randint(2, (7, 4))
    for i in range(7):
        assert right(logits, one)[i] == float(int(logits[i].argmax()) == int(one[i]))
        assert right(logits, one[:, None])[i] == right(logits, one)[i]
        pixels = [int(dense[i, :, y, x].argmax()) == int(map_[i, y, x]) for y in range(3) for x in range(2)]
        assert float(right(dense, map_)[i]) == pytest.approx(sum(pixels) / 6)
        answers = [(float(logits[i, k]) > 0) == bool(many[i, k]) for k in range(4)]
        assert float(right(logits, many)[i]) == pytest.approx(sum(answers) / 4)
    with pytest.raises(InputError, match=r"labels have shape \(7, 3\) and the outputs \(7, 4\)"):
        right(logits, torch.full((7, 3), 2))


def test_jackknife_of_a_mean_is_its_standard_error():
    values = torch.tensor(np.random.RandomState(1).randn(400))
    whole, parts = left_out(lambda z, y: float(z.mean()), values, values)
    means = values.reshape(20, 20).mean(dim=0).numpy()  # sample i is in part i % 20
    assert whole == pytest.approx(float(values.mean()))
    assert jackknife_error(parts) == pytest.approx(means.std(ddof=1) / np.sqrt(20))
    with pytest.raises(InputError, match="returned None; it has to return a number"):
        left_out(lambda z, y: None, values, values)
