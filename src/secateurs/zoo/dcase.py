"""Acoustic scenes: the baseline of DCASE 2021 task 1A and the DCASE 2022 entry that the pruning papers cut."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.keras import channels_last


class Dcase2021(nn.Module):
    """Three 7x7 convolutions with batch norm and ReLU, two max poolings, two linear layers [martin2021baseline].

    The keys are `conv1`, `bn1`, ..., `dense1`, `dense2`, and the maps are flattened channels last, as in Keras, so
    that its weights fit as they are. Keras counts the moving statistics of batch norm too: 46,246.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 16, 32), num_classes: int = 10) -> None:
        super().__init__()
        for k, (read, made) in enumerate(zip((1, *widths), widths, strict=False), 1):
            self.add_module(f"conv{k}", nn.Conv2d(read, made, 7, padding=3))
            self.add_module(f"bn{k}", nn.BatchNorm2d(made, eps=1e-3, momentum=0.01))
        self.dense1 = nn.Linear(2 * widths[2], 100)
        self.dense2 = nn.Linear(100, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """40 log-mel bins of 10 s, (b, 1, 40, 500), to logits (b, num_classes)."""
        x = self._block(1, x)
        x = F.dropout(F.max_pool2d(self._block(2, x), 5), 0.3, self.training)
        x = F.dropout(F.max_pool2d(self._block(3, x), (4, 100)), 0.3, self.training)
        x = F.dropout(F.relu(self.dense1(channels_last(x))), 0.3, self.training)
        logits: Tensor = self.dense2(x)
        return logits

    def _block(self, k: int, x: Tensor) -> Tensor:
        return F.relu(self.get_submodule(f"bn{k}")(self.get_submodule(f"conv{k}")(x)))


class Dcase2022(nn.Module):
    """Three 3x3 convolutions with tanh, ReLU and tanh, two average poolings, two linear layers [singh2022entry].

    Batch norms are folded, as in the published file, whose keys are `conv1`, ..., `dense2`.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 16, 32), num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, widths[0], 3, padding=1)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1)
        self.conv3 = nn.Conv2d(widths[1], widths[2], 3, padding=1)
        self.dense1 = nn.Linear(2 * widths[2], 100)
        self.dense2 = nn.Linear(100, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """40 log-mel bins of 1 s, (b, 1, 40, 51), to logits (b, num_classes)."""
        x = F.relu(self.conv2(torch.tanh(self.conv1(x))))
        x = torch.tanh(self.conv3(F.avg_pool2d(x, 5)))
        x = torch.tanh(self.dense1(channels_last(F.avg_pool2d(x, (4, 10)))))
        logits: Tensor = self.dense2(x)
        return logits


def dcase2021(num_classes: int = 10, widths: tuple[int, int, int] = (16, 16, 32)) -> Dcase2021:
    """The baseline of DCASE 2021 task 1A.

    Example:
        >>> sum(p.numel() for p in dcase2021().parameters())
        46118
    """
    return Dcase2021(widths, num_classes)


def dcase2022(num_classes: int = 10, widths: tuple[int, int, int] = (16, 16, 32)) -> Dcase2022:
    """The unpruned network of the DCASE 2022 task 1 entry.

    Example:
        >>> sum(p.numel() for p in dcase2022(widths=(12, 12, 22)).parameters())
        9336
    """
    return Dcase2022(widths, num_classes)


ENTRIES = (
    ZooEntry(
        name="dcase2021",
        build=dcase2021,
        input_shape=(1, 40, 500),
        num_classes=10,
        normalisation=None,
        description="Baseline of DCASE 2021 task 1A, acoustic scenes from 40 log-mel bins of 10 s",
    ),
    ZooEntry(
        name="dcase2022",
        build=dcase2022,
        input_shape=(1, 40, 51),
        num_classes=10,
        normalisation=None,
        description="DCASE 2022 task 1 entry, acoustic scenes from 40 log-mel bins of 1 s, batch norms folded",
    ),
)
