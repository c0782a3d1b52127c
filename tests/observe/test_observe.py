import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs.layers.linear_map import spread
from secateurs.statistics import observe
from secateurs.statistics.units import key


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.b, self.m = nn.Conv2d(6, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.c = nn.Linear(4 * 36, 2)

    def forward(self, x):
        x = F.relu(self.n(self.a(x)))
        return self.c(F.relu(self.m(self.b(x))).flatten(1))


def images(n):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_streamed_moments_are_those_of_everything_at_once():
    torch.manual_seed(0)
    net, x = Net().eval(), images(30)
    groups = sc.trace(net, x[:1]).free
    stats = observe(net, groups, x, taps=True, batch_size=7)
    assert stats.samples == 30
    with torch.no_grad():
        inner = F.relu(net.n(net.a(x)))
        last = F.relu(net.m(net.b(inner)))
    units = inner.permute(0, 2, 3, 1).reshape(-1, 6).double().numpy()
    found = stats.channels["a|b.weight"]
    np.testing.assert_allclose(found.mean()[0], units.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.gram()[0], units.T @ units / len(units), rtol=1e-4, atol=1e-6)
    flat = (
        last.permute(0, 2, 3, 1).reshape(-1, 4).double().numpy()
    )  # a unit has 36 places in the linear layer
    np.testing.assert_allclose(
        stats.channels["b|c.weight"].covariance()[0], np.cov(flat.T, bias=True), atol=1e-6
    )
    rows = F.unfold(inner, 3).transpose(1, 2).reshape(-1, 54).double().numpy()
    np.testing.assert_allclose(
        stats.taps["b.weight"].gram()[0], rows.T @ rows / len(rows), rtol=1e-4, atol=1e-6
    )
    halves = observe(net, groups, x[:10], taps=True) + observe(net, groups, x[10:], taps=True)
    for name, moments in halves.channels.items():
        torch.testing.assert_close(moments.second, stats.channels[name].second, rtol=1e-5, atol=1e-4)


def test_model_and_modes_are_left_as_they_were():
    net = Net().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    observe(net, sc.trace(net, images(1)).free, images(8))
    assert net.training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


def test_wrong_normalisation_is_warned_of_with_both_numbers():
    torch.manual_seed(0)
    net = Net().train()
    for _ in range(40):
        net(images(64) * 0.5)
    net.eval()
    groups = sc.trace(net, images(1)).free
    assert observe(net, groups, images(64) * 0.5).warnings == ()
    (warning,) = observe(net, groups, images(64) * 128 + 128).warnings
    assert "check the normalisation" in warning
    assert warning.count("here") == 2


def test_no_samples_and_nan_are_refused():
    net = Net().eval()
    groups = sc.trace(net, images(1)).free
    with pytest.raises(sc.InputError, match="no sample"):
        observe(net, groups, images(0))
    with pytest.raises(sc.InputError, match="NaN"):
        observe(net, groups, images(2) * float("nan"))


def test_key_names_group_and_reader():
    group = sc.trace(Net().eval(), images(1)).free[0]
    assert key(group, group.slots_as("consumer")[0]) == "a|b.weight"


def test_a_few_places_of_large_maps_are_the_same_in_every_sample():
    torch.manual_seed(0)
    net, x = Net().eval(), images(12)
    groups = sc.trace(net, x[:1]).free
    stats = observe(net, groups, x, taps=True, places=5, batch_size=5)
    with torch.no_grad():
        inner = F.relu(net.n(net.a(x)))
    few = inner.flatten(2)[:, :, spread(64, 5)].permute(0, 2, 1).reshape(-1, 6).double()
    torch.testing.assert_close(stats.channels["a|b.weight"].gram()[0], few.T @ few / 60, rtol=1e-4, atol=1e-6)
    where = spread(36, 5)
    rows = F.unfold(inner, 3).transpose(1, 2)[:, where].reshape(-1, 54).double()
    torch.testing.assert_close(stats.taps["b.weight"].gram()[0], rows.T @ rows / 60, rtol=1e-4, atol=1e-6)
    assert len(set(spread(1024, 64).tolist())) == 64
    assert max(spread(1024, 64).diff()) < 3 * 1024 / 64
