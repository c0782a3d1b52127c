"""VGGish: six 3x3 convolutions on log-mel patches of 0.96 s [hershey2017cnn], in two forms."""

from __future__ import annotations

from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.keras import channels_last

# Widths of the convolutions; 0 stands for a 2x2 max pooling.
LAYOUT = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0)
FLAT = 512 * 6 * 4


class VGGish(nn.Module):
    """Convolutions in `features` without batch norm, linear layers in `embeddings`.

    The keys are those of the public PyTorch conversion of the released weights (`features.0`, ..., `embeddings.4`).
    Maps are flattened channels last, as in TensorFlow, from where the weights come.
    """

    def __init__(self, hidden: tuple[int, ...], outputs: int, last: nn.Module) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        planes = 1
        for width in LAYOUT:
            if width:
                layers += [nn.Conv2d(planes, width, 3, padding=1), nn.ReLU(inplace=True)]
                planes = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        dense: list[nn.Module] = []
        size = FLAT
        for width in hidden:
            dense += [nn.Linear(size, width), nn.ReLU(inplace=True)]
            size = width
        self.embeddings = nn.Sequential(*dense, nn.Linear(size, outputs), last)

    def forward(self, x: Tensor) -> Tensor:
        """64 log-mel bins of 96 frames, (b, 1, 96, 64), to (b, outputs)."""
        y: Tensor = self.embeddings(channels_last(self.features(x)))
        return y


def vggish(num_classes: int = 10) -> VGGish:
    """VGGish as the pruning papers fine-tune it: linear layers of 4,096, 128 and the classes.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     sum(p.numel() for p in vggish().parameters())
        55361162
    """
    return VGGish((4096, 128), num_classes, nn.Identity())


def vggish_released(num_classes: int = 128) -> VGGish:
    """VGGish as its authors released it: linear layers of 4,096, 4,096 and an embedding of 128, all with ReLU.

    `num_classes` is the size of the embedding.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     sum(p.numel() for p in vggish_released().parameters())
        72141184
    """
    return VGGish((4096, 4096), num_classes, nn.ReLU(inplace=True))


ENTRIES = (
    ZooEntry(
        name="vggish",
        build=vggish,
        input_shape=(1, 96, 64),
        num_classes=10,
        normalisation=None,
        description="VGGish with the classifier of the pruning papers, from 64 log-mel bins of 0.96 s",
    ),
    ZooEntry(
        name="vggish_released",
        build=vggish_released,
        input_shape=(1, 96, 64),
        num_classes=128,
        normalisation=None,
        description="VGGish as released, to an embedding of 128, from 64 log-mel bins of 0.96 s",
    ),
)
