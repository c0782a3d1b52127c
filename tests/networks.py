"""Small networks that several tests share."""

import torch
from torch import nn


class Residual(nn.Module):
    """A stem, two blocks with a shortcut, a head: coupled and inner groups."""

    def __init__(self, width: int = 8, inner: int = 12, classes: int = 5):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.one = nn.Sequential(
            nn.Conv2d(width, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, width, 3, padding=1),
        )
        self.two = nn.Sequential(nn.Conv2d(width, inner, 1), nn.ReLU(), nn.Conv2d(inner, width, 1))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.one(x))
        x = torch.relu(x + self.two(x))
        return self.head(x.mean(dim=(2, 3)))


def residual(seed: int = 0, **sizes: int) -> nn.Module:
    """The network with random weights and statistics, in evaluation mode."""
    torch.manual_seed(seed)
    net = Residual(**sizes)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return net.eval()


EXAMPLE = torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8)
