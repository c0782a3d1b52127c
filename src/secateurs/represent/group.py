"""Representations from weights: the layers, or batch norms, that the rows of a group come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import GroupWeights
from secateurs.represent.flat import flat

Rows = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Filters:
    """The filters of every producer of the channels, as rows.

    `rows` turns the weights (n, c, t) of a layer into one row a filter.

    Example:
        >>> Filters()
        Filters(rows=<function flat at ...>)
    """

    rows: Rows = flat

    def __call__(self, group: GroupWeights) -> list[Tensor]:
        """One matrix for every producer."""
        return [self.rows(weights) for weights in group.producers]


@dataclass(frozen=True)
class ConsumerWeights:
    """The weights of every consumer of the channels, as rows.

    `rows` turns the weights (n, outputs, t) of a layer into one row a channel.

    Example:
        >>> ConsumerWeights() == ConsumerWeights(flat)
        True
    """

    rows: Rows = flat

    def __call__(self, group: GroupWeights) -> list[Tensor]:
        """One matrix for every consumer; none where nothing reads the channels."""
        return [self.rows(weights) for weights in group.consumers]


@dataclass(frozen=True)
class BatchNorms:
    """Bias and factor (beta, gamma) that every batch norm on the way puts on the channels: (n, 2) each.

    A group without batch norm gets one as if its factors were the lengths of the filters, summed over the
    producers, and its biases 0.

    Example:
        >>> BatchNorms() == BatchNorms()
        True
    """

    def __call__(self, group: GroupWeights) -> list[Tensor]:
        """One matrix for every batch norm."""
        if group.norms:
            return [torch.stack([entries.beta, entries.gamma], dim=1) for entries in group.norms]
        lengths = torch.stack([flat(weights).norm(dim=1) for weights in group.producers]).sum(dim=0)
        return [torch.stack([torch.zeros_like(lengths), lengths], dim=1)]


@dataclass(frozen=True)
class Blank:
    """An empty row for every unit, for scores that do not depend on weights.

    Example:
        >>> Blank() == Blank()
        True
    """

    def __call__(self, group: GroupWeights) -> list[Tensor]:
        """A single matrix (n, 1) of zeros, however many layers produce the channels."""
        weights = checked(group.producers[0], "weights", ndim=3)
        return [weights.new_zeros(len(weights), 1)]
