"""What the zoo knows about a network besides its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from secateurs.data.normalisation import Normalisation


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo: how to build it and what it expects.

    `input_shape` is that of one sample, without the batch axis. `build(num_classes=...)` makes the network
    with fresh random weights, or where it is `trained` with those that are part of the package. `normalisation` is None
    where the input is sound: what became of it is the front end's.
    """

    name: str
    build: Callable[..., nn.Module]
    input_shape: tuple[int, ...]
    num_classes: int
    normalisation: Normalisation | None
    description: str
    trained: bool = False
