"""YAMNet: MobileNetV1 on log-mel patches of 0.96 s, 521 sounds of AudioSet, batch norms folded [plakal2020yamnet]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.keras import same

# (width, stride) of the depthwise separable layers 2 to 14.
LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution, each with ReLU."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(in_planes, in_planes, 3, stride, groups=in_planes)
        self.pointwise_conv = nn.Conv2d(in_planes, planes, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_planes, h, w) to (b, planes, h / stride, w / stride)."""
        x = F.relu(self.depthwise_conv(same(x, 3, self.stride)))
        return F.relu(self.pointwise_conv(x))


class Stem(nn.Module):
    """A 3x3 convolution with stride 2 and ReLU."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, planes, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, h, w) to (b, planes, h / 2, w / 2)."""
        return F.relu(self.conv(same(x, 3, 2)))


class YAMNet(nn.Module):
    """The keys are those of the TensorFlow release (`layer1.conv`, `layer2.depthwise_conv`, ..., `dense`).

    A sigmoid after the logits gives the scores.
    """

    unused_keys = ("mel_weights",)  # of the release; its front end in `secateurs.audio` computes it

    def __init__(self, num_classes: int = 521) -> None:
        super().__init__()
        planes = 32
        self.layer1 = Stem(planes)
        for k, (width, stride) in enumerate(LAYERS, 2):
            self.add_module(f"layer{k}", Separable(planes, width, stride))
            planes = width
        self.dense = nn.Linear(planes, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """64 log-mel bins of 96 frames, (b, 1, 96, 64), to logits (b, num_classes)."""
        x = self.layer1(x)
        for k in range(2, len(LAYERS) + 2):
            x = self.get_submodule(f"layer{k}")(x)
        logits: Tensor = self.dense(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def yamnet(num_classes: int = 521) -> YAMNet:
    """YAMNet with folded batch norms.

    Example:
        >>> yamnet()(torch.zeros(2, 1, 96, 64)).shape
        torch.Size([2, 521])
    """
    return YAMNet(num_classes)


ENTRIES = (
    ZooEntry(
        name="yamnet",
        build=yamnet,
        input_shape=(1, 96, 64),
        num_classes=521,
        normalisation=None,
        description="YAMNet for AudioSet with folded batch norms, from 64 log-mel bins of 0.96 s",
    ),
)
