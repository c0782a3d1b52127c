"""A small network whose units are read twice, with images for it."""

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """Two readers of `a`: a grouped one with a bias, and one before a batch norm; a flatten before the last."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 6, 1)
        self.c, self.m = nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.d = nn.Linear(6 * 64, 5)

    def forward(self, x):
        x = F.relu(self.n(self.a(x)))
        return self.d(F.relu(self.b(x) + self.m(self.c(x))).flatten(1))


def network() -> Net:
    torch.manual_seed(0)
    net = Net()
    for norm in (net.n, net.m):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    return net.eval()


def images(n, seed=0):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def error(a, b):
    x = images(64, 9)
    with torch.no_grad():
        return float((a(x) - b(x)).square().mean() / a(x).var())
