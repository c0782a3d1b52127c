"""MobileNetV1 of the pretrained audio networks: average pooling in place of strides [kong2020panns]."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.panns import CLIP
from secateurs.zoo.panns_front import LogMel, PowerSpectrogram, normalised

# (width, pooling) of the depthwise separable blocks.
BLOCKS = (
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


def _pooled(conv: nn.Conv2d, pool: int) -> list[nn.Module]:
    return [conv, nn.AvgPool2d(pool), nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)]


def _separable(in_planes: int, planes: int, pool: int) -> nn.Sequential:
    depthwise = nn.Conv2d(in_planes, in_planes, 3, padding=1, groups=in_planes, bias=False)
    pointwise = nn.Conv2d(in_planes, planes, 1, bias=False)
    return nn.Sequential(*_pooled(depthwise, pool), pointwise, nn.BatchNorm2d(planes), nn.ReLU(inplace=True))


class PannsMobileNetV1(nn.Module):
    """Log-mel front end, thirteen depthwise separable blocks in `features`, `fc1` and `fc_audioset`.

    The keys are those of the public checkpoint, whose authors put a sigmoid after the logits.
    """

    def __init__(self, num_classes: int = 527) -> None:
        super().__init__()
        self.spectrogram_extractor = PowerSpectrogram()
        self.logmel_extractor = LogMel()
        self.bn0 = nn.BatchNorm2d(64)
        stem = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        layers: list[nn.Module] = [nn.Sequential(*_pooled(stem, 2))]
        planes = 32
        for width, pool in BLOCKS:
            layers.append(_separable(planes, width, pool))
            planes = width
        self.features = nn.Sequential(*layers)
        self.fc1 = nn.Linear(planes, 1024)
        self.fc_audioset = nn.Linear(1024, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """A waveform at 32 kHz (b, samples) to logits (b, num_classes)."""
        x = normalised(self.logmel_extractor(self.spectrogram_extractor(x)), self.bn0)
        x = self.features(x).mean(dim=3)
        x = F.dropout(x.amax(dim=2) + x.mean(dim=2), 0.5, self.training)
        logits: Tensor = self.fc_audioset(F.dropout(F.relu(self.fc1(x)), 0.5, self.training))
        return logits


def panns_mobilenet_v1(num_classes: int = 527) -> PannsMobileNetV1:
    """MobileNetV1 as the PANNs have it.

    Example:
        >>> sum(p.numel() for p in panns_mobilenet_v1().parameters())
        4796303
    """
    return PannsMobileNetV1(num_classes)


ENTRIES = (
    ZooEntry(
        name="panns_mobilenet_v1",
        build=panns_mobilenet_v1,
        input_shape=(CLIP,),
        num_classes=527,
        normalisation=None,
        description="MobileNetV1 of PANNs for AudioSet, from a waveform of 10 s at 32 kHz",
    ),
)
