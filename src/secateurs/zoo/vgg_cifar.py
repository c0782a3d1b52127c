"""VGG-16 with batch norm for 32x32 images: thirteen convolutions and one linear layer [simonyan2015vgg]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateurs.data.normalisation import IMAGENET
from secateurs.zoo.entry import ZooEntry

# Widths of the convolutions; 0 stands for a 2x2 max pooling.
LAYOUT = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


class VGGCifar(nn.Module):
    """Convolutions, batch norms and activations in `features`, one linear layer as `classifier`."""

    def __init__(self, layout: tuple[int, ...] = LAYOUT, num_classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        planes = 3
        for width in layout:
            if width:
                # Batch norm has its own shift: a bias before it would do nothing.
                conv = nn.Conv2d(planes, width, 3, padding=1, bias=False)
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                planes = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(planes, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) to logits (b, num_classes)."""
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return logits


def vgg16_bn(num_classes: int = 10) -> VGGCifar:
    """VGG-16 with batch norm for 32x32 colour images.

    Example:
        >>> sum(p.numel() for p in vgg16_bn().parameters())
        14724042
    """
    return VGGCifar(LAYOUT, num_classes)


ENTRIES = (
    ZooEntry(
        name="vgg16_bn",
        build=vgg16_bn,
        input_shape=(3, 32, 32),
        num_classes=10,
        normalisation=IMAGENET,
        description="VGG-16 with batch norm for CIFAR, one linear classifier",
    ),
)
