"""What is said before a run of how long it takes: its parts against a plain count, and the line of the command."""

import time
from dataclasses import replace
from functools import lru_cache

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
    for samples in (100, 4000):
        orders = 0.0
        for width, places in ((27, 196), (72, 144), (576, 1)):
            rows = min(samples * places, max(60_000, 150 * width))
            orders += rows * width**2 / 2 + 6 * width**3
        for effort, passes in (("default", 12 * min(200, samples / 2)), ("best", 12 * min(300, samples / 2))):
            made = forecast(net, x, samples=samples, effort=effort, repair=False)
            assert made.survey == pytest.approx((samples + passes) * 2e-3 + orders * 1e-9)
            assert (made.repair, made.seconds) == (0, made.survey)
        plain = forecast(net, x, samples=samples, damage=False, repair=False)
        assert plain.survey == pytest.approx(samples * 2e-3 + orders * 1e-9)


def test_the_repair_of_one_layer_by_hand(steady):
    net, x = nn.Conv2d(4, 16, 3, padding=1), torch.zeros(1, 4, 16, 16)
    made = forecast(net, x, samples=1000, stays=0.25, survey=False)
    d, o, places, macs = 18, 8, 256, 36 * 16 * 256  # half of the channels on both sides
    rows = min(1000 * places, max(100_000, 300 * d)) * (1 + 2 * 0.3)
    algebra = rows * (d + o) ** 2 / 2 + 3 * 6 * d**3
    used = min(1000, 5e6 / (o * places))
    passes = 2 * 20 * used * 0.25 + 4 * 1000 * 1.25 / 2
    assert made.repair == pytest.approx(passes * 2e-3 + algebra * 1e-9)
    assert macs == sc.count_costs(net, x).macs


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


class Fixed(nn.Module):
    """Takes batches of 32 and nothing else, and waits a millisecond for each sample."""

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        time.sleep(1e-3 * len(x))
        return self.inner(x.reshape(32, 3, 16, 16))


def test_a_network_of_one_batch_size_is_timed_by_the_sample():
    found, seconds = module._looked(Fixed(), torch.zeros(32, 3, 16, 16))
    assert len(found) == 3
    assert 1e-3 <= seconds < 16e-3


@lru_cache
def table(n):
    return torch.linspace(0.5, 1, n)


class Noisy(nn.Module):
    """Keeps a table outside of itself, and draws numbers."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x):
        y = self.first(x)
        return self.last(y.relu() * table(y.shape[-1])) + 0 * torch.rand(1)


def test_nothing_of_it_is_left():
    table.cache_clear()
    net, x = Noisy(), torch.zeros(1, 3, 16, 16)
    before = torch.get_rng_state()
    forecast(net, x)
    assert torch.equal(torch.get_rng_state(), before)
    net(x).sum().backward()  # what was cached meanwhile can be differentiated through


def test_the_network_is_left_as_it_was():
    net = small().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    forecast(net, torch.zeros(1, 3, 16, 16))
    assert net.training
    assert not any(m._forward_hooks for m in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_bad_arguments_are_one_sentence():
    for wrong in ({"samples": 0}, {"scored": -1}, {"effort": "slow"}, {"stays": -1}, {"stays": float("nan")}):
        with pytest.raises(sc.InputError, match=next(iter(wrong))):
            forecast(small(), torch.zeros(1, 3, 16, 16), **wrong)
    for example in (torch.zeros(1, 5, 16, 16), torch.zeros(0, 3, 16, 16), [], None):
        with pytest.raises(sc.InputError):
            forecast(small(), example)


def test_words():
    made = Forecast(survey=40.0, repair=100.0, evaluation=0.0)
    assert str(made) == "about 2.3 min (survey 40 s, repair 1.7 min)"
    assert (
        str(replace(made, evaluation=7200.0)) == "about 2.0 h (survey 40 s, repair 1.7 min, evaluation 2.0 h)"
    )
    assert str(Forecast(0.0, 0.0, 0.0)) == "about 1 s"
    assert [spoken(x) for x in (0.2, 59.0, 59.9, 594.0, 598.0)] == [
        "1 s",
        "59 s",
        "1.0 min",
        "9.9 min",
        "10 min",
    ]
