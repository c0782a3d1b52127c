"""Pretrained audio networks: log-mel front end, VGG-like blocks, clip-wise scores of 527 sounds [kong2020panns]."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.panns_front import LogMel, PowerSpectrogram, normalised

CLIP = 320_000
"""Samples of a clip of 10 s at 32 kHz."""


class ConvBlock(nn.Module):
    """Convolutions of one size with batch norm and ReLU; `conv1`, `bn1` and, where there are two, `conv2`, `bn2`."""

    def __init__(self, in_planes: int, planes: int, kernel: int, count: int) -> None:
        super().__init__()
        self.count = count
        for k in range(1, count + 1):
            conv = nn.Conv2d(in_planes, planes, kernel, padding=kernel // 2, bias=False)
            nn.init.xavier_uniform_(conv.weight)
            self.add_module(f"conv{k}", conv)
            self.add_module(f"bn{k}", nn.BatchNorm2d(planes))
            in_planes = planes

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_planes, frames, bins) to (b, planes, frames, bins)."""
        for k in range(1, self.count + 1):
            x = F.relu(self.get_submodule(f"bn{k}")(self.get_submodule(f"conv{k}")(x)))
        return x


class PannsCNN(nn.Module):
    """Blocks with 2x2 average pooling between them, mean over frequency, maximum plus mean over time, two layers.

    The keys are those of the public checkpoints: `spectrogram_extractor.stft.conv_real.weight`,
    `logmel_extractor.melW`, `bn0`, `conv_block1.conv1`, ..., `fc1`, `fc_audioset`. The front end is fixed, so its
    tensors are buffers. The checkpoints' authors put a sigmoid after the logits, and mask stripes of the spectrogram
    in training.
    """

    def __init__(
        self, widths: tuple[int, ...], kernel: int, count: int, pooled: int, num_classes: int
    ) -> None:
        super().__init__()
        self.spectrogram_extractor = PowerSpectrogram()
        self.logmel_extractor = LogMel()
        self.bn0 = nn.BatchNorm2d(64)
        self.blocks, self.pooled, in_planes = len(widths), pooled, 1
        for k, planes in enumerate(widths, 1):
            self.add_module(f"conv_block{k}", ConvBlock(in_planes, planes, kernel, count))
            in_planes = planes
        self.fc1 = nn.Linear(in_planes, in_planes)
        self.fc_audioset = nn.Linear(in_planes, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """A waveform at 32 kHz (b, samples) to logits (b, num_classes)."""
        x = normalised(self.logmel_extractor(self.spectrogram_extractor(x)), self.bn0)
        for k in range(1, self.blocks + 1):
            x = self.get_submodule(f"conv_block{k}")(x)
            x = F.avg_pool2d(x, 2) if k <= self.pooled else x
            x = F.dropout(x, 0.2, self.training)
        x = x.mean(dim=3)
        x = F.dropout(x.amax(dim=2) + x.mean(dim=2), 0.5, self.training)
        logits: Tensor = self.fc_audioset(F.dropout(F.relu(self.fc1(x)), 0.5, self.training))
        return logits


def cnn14(num_classes: int = 527) -> PannsCNN:
    """CNN14: six blocks of two 3x3 convolutions.

    Example:
        >>> sum(p.numel() for p in cnn14().parameters())
        80753615
    """
    return PannsCNN((64, 128, 256, 512, 1024, 2048), 3, 2, 5, num_classes)


def cnn10(num_classes: int = 527) -> PannsCNN:
    """CNN10: four blocks of two 3x3 convolutions.

    Example:
        >>> sum(p.numel() for p in cnn10().parameters())
        5219279
    """
    return PannsCNN((64, 128, 256, 512), 3, 2, 4, num_classes)


def cnn6(num_classes: int = 527) -> PannsCNN:
    """CNN6: four blocks of one 5x5 convolution.

    Example:
        >>> sum(p.numel() for p in cnn6().parameters())
        4837455
    """
    return PannsCNN((64, 128, 256, 512), 5, 1, 4, num_classes)


ENTRIES = tuple(
    ZooEntry(
        name=name,
        build=build,
        input_shape=(CLIP,),
        num_classes=527,
        normalisation=None,
        description=f"{name.upper()} of PANNs for AudioSet, from a waveform of 10 s at 32 kHz",
    )
    for name, build in (("cnn6", cnn6), ("cnn10", cnn10), ("cnn14", cnn14))
)
