"""MobileNetV2 for 32x32 images: inverted residuals with two strides fewer [sandler2018mobilenetv2]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateurs.data.normalisation import IMAGENET
from secateurs.zoo.entry import ZooEntry

# (expansion t, width c, repeats n, stride s) as in the paper's table 2, the first two strides 1 for 32x32
# images.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv(in_planes: int, planes: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_planes, planes, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(planes), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """1x1 up to t times the width, depthwise 3x3, 1x1 down; added to the input where the shapes agree."""

    def __init__(self, in_planes: int, planes: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_planes * expansion
        self.residual = stride == 1 and in_planes == planes
        layers: list[nn.Module] = [] if expansion == 1 else [_conv(in_planes, hidden, 1)]
        layers.append(_conv(hidden, hidden, 3, stride, groups=hidden))
        layers += [nn.Conv2d(hidden, planes, 1, bias=False), nn.BatchNorm2d(planes)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_planes, h, w) to (b, planes, h / stride, w / stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2Cifar(nn.Module):
    """The keys are torchvision's (`features.0.0`, `features.1.conv.0.0`, ..., `classifier.1`)."""

    def __init__(self, num_classes: int = 10, dropout: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 32, 3)]
        planes = 32
        for expansion, width, repeats, stride in STAGES:
            for k in range(repeats):
                layers.append(InvertedResidual(planes, width, stride if k == 0 else 1, expansion))
                planes = width
        layers.append(_conv(planes, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) to logits (b, num_classes)."""
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return logits


def mobilenet_v2(num_classes: int = 10) -> MobileNetV2Cifar:
    """MobileNetV2 of width 1.0 for 32x32 colour images.

    Example:
        >>> sum(p.numel() for p in mobilenet_v2().parameters())
        2236682
    """
    return MobileNetV2Cifar(num_classes)


ENTRIES = (
    ZooEntry(
        name="mobilenet_v2",
        build=mobilenet_v2,
        input_shape=(3, 32, 32),
        num_classes=10,
        normalisation=IMAGENET,
        description="MobileNetV2 1.0 for CIFAR, stride 1 in the stem and the second stage",
    ),
)
