"""The form of a network that is cut, where it is not the one that was given: frames are such a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from secateurs.contracts import IntArray


class Form(Protocol):
    """How the network of a graph was made from the one that was given, and what is done with it after a cut."""

    @property
    def original(self) -> nn.Module:
        """The network that was given: it computes the same as that of the graph, with fewer layers."""
        ...

    @property
    def sides(self) -> Sequence[tuple[int, int]]:
        """Groups that are the inputs and the outputs of one layer and nothing else, by index."""
        ...

    @property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """What the step of a plan does before its cut, as fields of the step."""
        ...

    def after(self, keep: IntArray) -> Mapping[str, Mapping[str, str]]:
        """What a last step does after the cut where every group keeps so many units, as fields; none for nothing."""
        ...

    def home(self, tensor: str) -> str:
        """The weight of `original` that a weight of the graph's network is a factor of; itself for all others."""
        ...

    def factors(self, tensor: str) -> tuple[str, ...]:
        """The weights of the graph's network that a weight of `original` is made of; itself for all others."""
        ...

    def product(self, factors: Sequence[Tensor]) -> Tensor:
        """A weight of `original` from its factors."""
        ...
