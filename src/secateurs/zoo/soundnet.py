"""SoundNet: convolutions along the raw waveform [aytar2016soundnet], with the keys of its pruned Keras weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry

# (width, kernel, max pooling) of the seven convolutions, each with stride 2 and half the kernel of zeros on both sides.
LAYERS = ((16, 64, 8), (32, 32, 8), (64, 16, 1), (128, 8, 1), (256, 4, 4), (512, 4, 1), (1024, 4, 1))
WIDTHS = tuple(width for width, _, _ in LAYERS)
LOUDNESS = 256.0  # SoundNet was trained on samples in [-256, 256]


class SoundNet(nn.Module):
    """Seven one-dimensional convolutions with batch norm and ReLU; their mean over time to a linear layer.

    The keys are `conv1d_1`, `batch_normalization_1`, ..., as in Keras. The published eighth layer is two convolutions
    to its teachers' classes; the pruned file has none, and here it is `dense`, or nothing where `num_classes` is 0.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, num_classes: int = 10) -> None:
        super().__init__()
        for k, (read, made) in enumerate(zip((1, *widths), widths, strict=False), 1):
            kernel = LAYERS[k - 1][1]
            self.add_module(f"conv1d_{k}", nn.Conv1d(read, made, kernel, 2, kernel // 2))
            self.add_module(f"batch_normalization_{k}", nn.BatchNorm1d(made, eps=1e-3, momentum=0.01))
        self.dense = nn.Linear(widths[-1], num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """A waveform of 5 s at 22,050 Hz in [-1, 1], (b, 110250), to logits (b, num_classes)."""
        x = LOUDNESS * x[:, None]
        for k, (_, _, pooled) in enumerate(LAYERS, 1):
            x = self.get_submodule(f"conv1d_{k}")(x)
            x = F.relu(self.get_submodule(f"batch_normalization_{k}")(x))
            x = F.max_pool1d(x, pooled) if pooled > 1 else x
        logits: Tensor = self.dense(torch.mean(x, dim=2))
        return logits


def soundnet(num_classes: int = 10, widths: tuple[int, ...] = WIDTHS) -> SoundNet:
    """SoundNet of seven convolutions and a linear layer.

    Args:
        num_classes: Outputs; 0 leaves the linear layer out, so that the mean of the last maps comes out.
        widths: Filters of the seven convolutions.

    Example:
        >>> soundnet(0, widths=(16, 32, 41, 56, 88, 235, 59))(torch.zeros(1, 22_050)).shape
        torch.Size([1, 59])
    """
    return SoundNet(widths, num_classes)


ENTRIES = (
    ZooEntry(
        name="soundnet",
        build=soundnet,
        input_shape=(110_250,),
        num_classes=10,
        normalisation=None,
        description="SoundNet, one-dimensional convolutions on the waveform, 5 s at 22,050 Hz",
    ),
)
