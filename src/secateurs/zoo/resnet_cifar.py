"""The residual networks for 32x32 images, with zero-padded shortcuts (option A) [he2016resnet]."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.data.normalisation import IMAGENET
from secateurs.zoo.entry import ZooEntry


class ZeroPadShortcut(nn.Module):
    """Every second pixel, and `pad` channels of zeros on each side: a shortcut without parameters."""

    def __init__(self, pad: int) -> None:
        super().__init__()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to (b, c + 2 pad, ceil(h / 2), ceil(w / 2))."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        same = stride == 1 and in_planes == planes
        self.shortcut: nn.Module = nn.Sequential() if same else ZeroPadShortcut(planes // 4)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_planes, h, w) to (b, planes, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNetCifar(nn.Module):
    """6n + 2 layers: a 3x3 convolution, three stages of n blocks of widths 16, 32, 64, and a linear layer.

    Keys are those of the public checkpoints: `conv1`, `bn1`, `layer1.0.conv1`, ..., `linear`.
    """

    def __init__(self, blocks: int, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) to logits (b, num_classes); other heights and widths work too."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        y = torch.flatten(F.adaptive_avg_pool2d(y, 1), 1)
        logits: Tensor = self.linear(y)
        return logits


def _stage(in_planes: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_planes, planes, stride)
    return nn.Sequential(first, *(BasicBlock(planes, planes, 1) for _ in range(blocks - 1)))


def resnet_cifar(depth: int, num_classes: int = 10) -> ResNetCifar:
    """ResNet of 6n + 2 = `depth` layers for 32x32 colour images [he2016resnet].

    Raises:
        ValueError: `depth` is not 6n + 2 with n >= 1.

    Example:
        >>> sum(p.numel() for p in resnet_cifar(56).parameters())
        853018
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"depth must be 6n + 2 (20, 32, 44, 56, 110, ...), got {depth}")
    return ResNetCifar(blocks, num_classes)


ENTRIES = tuple(
    ZooEntry(
        name=f"resnet{depth}",
        build=partial(resnet_cifar, depth),
        input_shape=(3, 32, 32),
        num_classes=10,
        normalisation=IMAGENET,
        description=f"ResNet-{depth} for CIFAR, zero-padded shortcuts",
    )
    for depth in (20, 32, 44, 56, 110)
)
