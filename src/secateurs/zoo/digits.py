"""A small network for scikit-learn's 8x8 digits, with batch norm and a shortcut; its trained weights come along."""

from __future__ import annotations

from importlib.resources import as_file, files

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.data.normalisation import DIGITS
from secateurs.errors import InputError
from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.weights import load_weights

WEIGHTS = "digits_cnn.safetensors"
"""Written by `benchmarks/digits.py`: trained on the training samples that are not held out."""


class DigitsCNN(nn.Module):
    """Four 3x3 convolutions with batch norm, one shortcut around the middle two, one linear layer."""

    def __init__(self, width: int = 32, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)
        self.linear = nn.Linear(2 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, 8, 8) to logits (b, num_classes)."""
        x = F.relu(self.stem_bn(self.stem(x)))
        y = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(x + self.bn2(self.conv2(y)))
        x = F.relu(self.bn3(self.conv3(x)))
        logits: Tensor = self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def digits_cnn(num_classes: int = 10, width: int = 32) -> DigitsCNN:
    """The network of the demo.

    Example:
        >>> digits_cnn()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return DigitsCNN(width, num_classes)


def trained_digits_cnn(num_classes: int = 10) -> DigitsCNN:
    """The network of the demo with the trained weights that are part of the package, in evaluation mode.

    Raises:
        InputError: It is to have other classes than the ten digits.

    Example:
        >>> trained_digits_cnn().training
        False
    """
    if num_classes != 10:
        raise InputError(
            f"num_classes is {num_classes}: trained_digits_cnn knows ten digits; train a digits_cnn."
        )
    model = DigitsCNN()
    with as_file(files("secateurs.zoo").joinpath(WEIGHTS)) as path:
        load_weights(model, path)
    return model.eval()


ENTRIES = (
    ZooEntry(
        name="digits_cnn",
        build=digits_cnn,
        input_shape=(1, 8, 8),
        num_classes=10,
        normalisation=DIGITS,
        description="Small CNN with one shortcut for scikit-learn's 8x8 digits",
    ),
    ZooEntry(
        name="trained_digits_cnn",
        build=trained_digits_cnn,
        input_shape=(1, 8, 8),
        num_classes=10,
        normalisation=DIGITS,
        description="The same with the weights that are part of the package",
        trained=True,
    ),
)
