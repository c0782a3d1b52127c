"""Captured networks give each value the type that the network gives it."""

import pytest
import torch
from torch import nn

import secateurs as sc


class Scaled(nn.Module):
    """Multiplies half precision in place by a number in single precision, which stays half."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)
        self.register_buffer("k", torch.tensor([0.5]))

    def forward(self, x):
        return self.b((self.a(x) * 1).mul_(self.k.float()).relu())


def normed():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))


@pytest.mark.parametrize("made", ["scaled", "normed"])
@pytest.mark.parametrize("settings", [{}, {"method": "l1-norm", "allocate": "search", "compensate": "merge"}])
def test_single_precision_within_half_prunes_with_data(made, settings):
    torch.manual_seed(0)
    net = Scaled().bfloat16() if made == "scaled" else normed().bfloat16()
    if made == "normed":
        net[1].float()
    else:
        net.k = net.k.float()
    x = torch.randn(16, 3, 8, 8).bfloat16()
    result = sc.prune(net.eval(), x[:1], macs=0.6, data=x, **settings)
    assert result.model(x[:2]).dtype == torch.bfloat16
    assert bool(torch.isfinite(result.model(x)).all())
