"""Standardised convolutions become plain ones: the same function, found by behaviour, repeated by the plan."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import secateurs as sc
from secateurs.layers.standardised import SameConv2d, standardised, without_standardisation
from secateurs.surgery import Plan


class Standardised(nn.Conv2d):
    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.var((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Masked(nn.Conv2d):
    """Each number is used by itself: nothing to fold."""

    def forward(self, x):
        return F.conv2d(x, self.weight * (self.weight > 0), self.bias)


class Conditional(nn.Conv2d):
    """Weights that depend on the input cannot be stored."""

    def forward(self, x):
        return F.conv2d(x, self.weight / self.weight.norm() * x.mean(), self.bias)


class Shifted(nn.Conv2d):
    """Does something else to its input."""

    def forward(self, x):
        return F.conv2d(x + 1, self.weight / self.weight.norm(), self.bias)


def _net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        Standardised(3, 8, 3, padding=1, stride=2),
        nn.ReLU(),
        Standardised(8, 6, 3, groups=2, dilation=2, padding=2, bias=False),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1),
    ).eval()


def test_the_effective_weights_are_those_of_a_plain_loop():
    net = _net()
    plain = without_standardisation(net)
    for name in ("0", "2"):
        stored = net.get_submodule(name).weight.detach().double().numpy()
        for i, v in enumerate(stored):
            numbers = v.ravel()
            expected = (v - numbers.mean()) / np.sqrt(numbers.var(ddof=1) + 1e-5)
            found = plain.get_submodule(name).weight[i].detach().numpy()
            assert np.allclose(found, expected, rtol=1e-6, atol=1e-7)
        assert type(plain.get_submodule(name)) is nn.Conv2d


def test_the_function_stays_and_the_original_too():
    net, x = _net(), torch.randn(2, 3, 11, 9)
    before, kept = net(x), copy.deepcopy(net.state_dict())
    assert standardised(net) == ("0", "2")
    assert torch.allclose(without_standardisation(net)(x), before, atol=1e-5)
    assert all(torch.equal(kept[k], v) for k, v in net.state_dict().items())
    assert standardised(without_standardisation(net)) == ()


@pytest.mark.parametrize(
    "layer", [Masked(4, 5, 3), Conditional(4, 5, 3), Shifted(4, 5, 3), nn.Conv2d(4, 5, 3)]
)
def test_other_layers_are_left_alone(layer):
    net = nn.Sequential(layer)
    assert standardised(net) == ()
    assert without_standardisation(net) is net


def test_tied_weights_are_left_alone():
    net = nn.Sequential(Standardised(4, 4, 3), Standardised(4, 4, 3))
    net[1].weight = net[0].weight
    assert standardised(net) == ()


@pytest.mark.parametrize("n", [7, 8, 9])
@pytest.mark.parametrize(("k", "s"), [(3, 1), (3, 2), (2, 2), (5, 3)])
def test_same_padding_by_its_definition(n, k, s):
    layer = SameConv2d(1, 1, k, stride=s, bias=False)
    nn.init.ones_(layer.weight)
    x = torch.rand(1, 1, n, n)
    out = layer(x)[0, 0]
    count = -(-n // s)
    assert out.shape == (count, count)
    front = max((count - 1) * s + k - n, 0) // 2
    for i in range(count):
        for j in range(count):
            rows = slice(max(0, i * s - front), max(0, i * s - front + k))
            columns = slice(max(0, j * s - front), max(0, j * s - front + k))
            assert torch.isclose(out[i, j], x[0, 0, rows, columns].sum(), atol=1e-5)


def test_a_plan_makes_a_fresh_network_plain_too():
    x = torch.randn(1, 3, 8, 8)
    result = sc.prune(_net(), x, method="l1-norm", keep=0.5)
    assert result.remarks[0].startswith("weight standardisation: 2 convolutions")
    again = sc.remove(_net(seed=1), Plan.from_json(result.plan.to_json()))
    again.load_state_dict(result.model.state_dict())
    assert type(again[0]) is nn.Conv2d
    assert again[0].weight.shape[0] == 4
    assert torch.equal(again(x), result.model(x))


def test_a_result_can_be_pruned_again():
    x = torch.randn(1, 3, 8, 8)
    once = sc.prune(_net(), x, method="l1-norm", keep=0.5)
    twice = sc.prune(once.model, x, method="l1-norm", keep=0.5)
    both = sc.remove(_net(), once.plan.then(twice.plan))
    assert torch.equal(both(x), twice.model(x))
    assert twice.remarks == ()
