"""What is said before a run of how long it takes: its parts against a plain count, and the line of the command."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs import forecast as module
from secateurs.forecast import Forecast, forecast, spoken


def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 144, 5)
    )


@pytest.fixture
def steady(monkeypatch):
    """A machine on which a pass takes two milliseconds and a multiply-add of a product a nanosecond."""
    own = module._looked
    monkeypatch.setattr(module, "_looked", lambda model, example: (own(model, example)[0], 2e-3))
    monkeypatch.setattr(module, "_product", lambda device: 1e-9)


def test_sizes_are_those_of_the_layers():
    found, seconds = module._looked(small(), torch.zeros(1, 3, 16, 16))
    assert [(x.groups, x.width, x.outputs, x.places) for x in found] == [
        (1, 27, 8, 196),
        (1, 72, 4, 144),
        (1, 576, 5, 1),
    ]
    assert sum(x.macs for x in found) == sc.count_costs(small(), torch.zeros(1, 3, 16, 16)).macs
    assert seconds > 0


def test_the_survey_by_hand(steady):
    net, x = small(), torch.zeros(1, 3, 16, 16)
    made = forecast(net, x, samples=100, repair=False)
    products = 0.0
    for width, places in ((27, 196), (72, 144), (576, 1)):
        rows = min(100 * places, max(60_000, 150 * width))
        products += rows * width**2 / 2 + 6 * width**3
    assert made.survey == pytest.approx((100 + 12 * 100) * 2e-3 + products * 1e-9)
    assert (made.repair, made.seconds) == (0, made.survey)


def test_evaluation_is_of_both_networks(steady):
    made = forecast(small(), torch.zeros(1, 3, 16, 16), scored=1000, stays=0.25, survey=False, repair=False)
    assert made.seconds == pytest.approx(1000 * 1.25 * 2e-3)


def test_more_samples_and_more_effort_take_longer(steady):
    net, x = small(), torch.zeros(1, 3, 16, 16)
    few, many = (forecast(net, x, samples=n) for n in (64, 2048))
    assert few.survey < many.survey
    assert few.repair < many.repair
    quick, usual, full = (forecast(net, x, effort=e).seconds for e in ("fast", "default", "best"))
    assert quick < usual < full


def test_a_network_of_one_batch_size_is_timed_on_it():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small()

        def forward(self, x):
            return self.inner(x.reshape(2, 3, 16, 16))

    assert forecast(Fixed(), torch.zeros(2, 3, 16, 16)).seconds > 0


def test_the_network_is_left_as_it_was():
    net = small().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    forecast(net, torch.zeros(1, 3, 16, 16))
    assert net.training
    assert not any(m._forward_hooks for m in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_bad_arguments_are_one_sentence():
    for wrong in ({"samples": 0}, {"scored": -1}, {"effort": "slow"}):
        with pytest.raises(sc.InputError):
            forecast(small(), torch.zeros(1, 3, 16, 16), **wrong)


def test_words():
    made = Forecast(survey=40.0, repair=100.0, evaluation=0.0)
    assert str(made) == "about 2.3 min (survey 40 s, repair 1.7 min)"
    assert str(replace(made, evaluation=7200.0)) == "about 2 h (survey 40 s, repair 1.7 min, evaluation 2 h)"
    assert spoken(0.2) == "1 s"
