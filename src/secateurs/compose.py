"""How a group is ranked: the ways in which represent, measure and select go together.

Each is a frozen value that turns what is seen of one group into its order of removal. Where several layers
make the channels of a group (a shortcut, a depthwise filter's expansion), their scores are added up: units
leave all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from secateurs import measure, represent, select
from secateurs.contracts import Order
from secateurs.errors import InputError


class Entries(Protocol):
    """Batch-norm factors and biases of the units of a group, each of shape (n,)."""

    @property
    def gamma(self) -> Tensor:
        """Factors."""
        ...

    @property
    def beta(self) -> Tensor:
        """Biases."""
        ...


class Sight(Protocol):
    """What a method sees of one group: matrices, never the model."""

    @property
    def banks(self) -> Sequence[Tensor]:
        """Filters of every layer that makes the channels: (n, c, taps) each."""
        ...

    @property
    def readers(self) -> Sequence[Tensor]:
        """Weights that read the channels: (n, outputs, taps) each."""
        ...

    @property
    def norms(self) -> Sequence[Entries]:
        """Batch norms on the way, in the order of the forward pass."""
        ...

    @property
    def seen(self) -> Any:
        """What the method's look at the data left of this group."""
        ...


class Glimpse(Protocol):
    """One batch of a group's feature maps, at one of the layers that read them."""

    @property
    def gradient(self) -> Tensor | None:
        """Gradient of a loss, in the shape of what the layer is given."""
        ...

    @property
    def plain(self) -> bool:
        """Whether the layer is linear in its input, so that contributions can be told apart."""
        ...

    def maps(self, of: Tensor | None = None) -> Tensor:
        """Feature maps, or their gradients if handed in: (b, n, h, w)."""
        ...

    def contributions(self) -> Tensor:
        """Gram matrix of what the units contribute to the layer's outputs: (n, n)."""
        ...


class Orders(Protocol):
    """Ranks one group."""

    def __call__(self, sight: Sight, seed: int, /) -> Order:
        """All units of the group, the first to leave first."""
        ...


Matrix = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Composition:
    """Represent each filter bank, measure, add up over the banks, select."""

    represent: Matrix
    measure: Matrix
    select: Callable[[Tensor], Order]

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost: that of the measure, once a bank, and of the selection."""
        del seed
        return self.select(total(self.measure(self.represent(bank)) for bank in sight.banks))


@dataclass(frozen=True)
class Seen:
    """Select by what was seen of the group's feature maps; unseen groups lose their shortest filters first."""

    select: Callable[[Tensor], Order]

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost: that of the selection."""
        del seed
        if sight.seen is None:
            return select.by_worth(total(measure.l2_norm(represent.flat(bank)) for bank in sight.banks))
        return self.select(sight.seen)


@dataclass(frozen=True)
class Surveyed:
    """The order that a survey of the readers' moments has found already."""

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost: none."""
        del seed
        if not isinstance(sight.seen, Order):
            raise InputError(
                "moments: the orders of a survey are missing; call survey(...) and hand on its orders."
            )
        return sight.seen


def look_taylor(glimpse: Glimpse) -> measure.MapMean | None:
    """First-order change of the loss without each map, summed over a batch."""
    if glimpse.gradient is None:
        return None
    return measure.taylor_sum(glimpse.maps(), glimpse.maps(glimpse.gradient))


def look_contributions(glimpse: Glimpse) -> measure.MapMean | None:
    """Gram matrix of the channels' contributions, where the layer is linear in its input."""
    return measure.MapMean(glimpse.contributions(), 1) if glimpse.plain else None


@dataclass(frozen=True)
class Drawn:
    """Random order, another one for every group but the same for the same seed."""

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n)."""
        return select.by_worth(measure.Random(seed)(represent.Flat()(sight.banks[0])))


@dataclass(frozen=True)
class NystromPairs:
    """Nearest pairs among filter directions whose cosine matrix is only ever held as a factor (n, r)."""

    represent: Matrix
    columns: int | None = None
    decimals: int | None = None

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n m d) for the factor and O(n^2 r) time, O(n r) memory for the pairs."""
        del seed
        return select.NearestRows(self.decimals)(torch.cat(self._factors(sight), dim=1))

    def notes(self, sight: Sight) -> Mapping[str, Any]:
        """The columns used and how far the approximated matrix is from the full one, in spectral norm."""
        rows = [self.represent(bank) for bank in sight.banks]
        errors = [measure.nystrom_error(r, columns=self._columns(r)) for r in rows]
        return {"columns": [self._columns(r) or f.shape[1] for r, f in zip(rows, self._factors(sight), strict=True)],
                "nystrom_error": max(float(e) for e in errors)}  # fmt: skip

    def _columns(self, rows: Tensor) -> int | None:
        if self.columns is not None and self.columns > len(rows):
            raise InputError(
                f"columns is {self.columns}, more than the {len(rows)} filters of a group; give fewer."
            )
        return self.columns

    def _factors(self, sight: Sight) -> list[Tensor]:
        rows = [self.represent(bank) for bank in sight.banks]
        return [measure.nystrom_factor(r, columns=self._columns(r)) for r in rows]


@dataclass(frozen=True)
class Replaceable:
    """LRF: remove what the remaining filters combine to best, weighted by the weights that read it."""

    ridge: float = 1e-8

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n^2 d + n^3)."""
        del seed
        gram = total(measure.gram(represent.flat(bank)) for bank in sight.banks)
        outgoing = [measure.gram(represent.flat(reader)) for reader in sight.readers]
        return select.lrf(gram, outgoing=total(outgoing) if outgoing else None, ridge=self.ridge)


@dataclass(frozen=True)
class Energies:
    """Operator-norm score, whose measure has to know how many taps a channel has."""

    faithful: bool = False

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n d t)."""
        del seed
        return select.by_worth(
            total(
                measure.operator_norm_score(represent.flat(bank), taps=bank.shape[2], faithful=self.faithful)
                for bank in sight.banks
            )
        )


@dataclass(frozen=True)
class NormScale:
    """Batch-norm factors as worth; groups without batch norm by the length of their filters."""

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n)."""
        del seed
        return select.by_worth(total(measure.bn_scale(gamma) for gamma, _ in distributions(sight)))


@dataclass(frozen=True)
class LikeChannels:
    """Distances between channel distributions, summed over the tied batch norms, and clusters of them."""

    kind: str = "independent"
    linkage: str = "average"
    threshold: float | None = None
    _kinds: tuple[str, ...] = field(default=("independent", "wasserstein", "relu"), repr=False)

    def __post_init__(self) -> None:
        if self.kind not in self._kinds:
            raise InputError(f"kind is '{self.kind}'; without data there are {', '.join(self._kinds)}.")
        if self.threshold is not None and not self.threshold > 0:
            raise InputError(f"threshold is {self.threshold:g}; give a positive share of the mean distance.")

    def __call__(self, sight: Sight, seed: int) -> Order:
        """Cost O(n^2)."""
        del seed
        kind: Any = self.kind
        distances = total(
            measure.channel_distances(beta, gamma, kind=kind) for gamma, beta in distributions(sight)
        )
        distances = distances / mean_off_diagonal(distances)  # layers become comparable
        worth = total(gamma.abs() for gamma, _ in distributions(sight))
        linkage: Any = self.linkage
        return select.cluster(distances, worth=worth, linkage=linkage, threshold=self.threshold)


def distributions(sight: Sight) -> list[tuple[Tensor, Tensor]]:
    """(gamma, beta) of every batch norm of the group; without any, the filters' lengths and zeros."""
    if sight.norms:
        return [(entries.gamma, entries.beta) for entries in sight.norms]
    lengths = total(measure.l2_norm(represent.flat(bank)) for bank in sight.banks)
    return [(lengths, torch.zeros_like(lengths))]


def mean_off_diagonal(matrix: Tensor) -> float:
    """Mean of the entries off the diagonal; 1 where there is none or it is 0.

    Example:
        >>> mean_off_diagonal(torch.tensor([[9.0, 2.0], [4.0, 9.0]]))
        3.0
    """
    n = len(matrix)
    mean = float(matrix.sum() - matrix.diagonal().sum()) / max(1, n * (n - 1))
    return mean if mean > 0 else 1.0


def total(scores: Any) -> Tensor:
    """Sum of scores of several layers.

    Raises:
        InputError: there is none.

    Example:
        >>> total(iter([torch.ones(2), torch.ones(2)]))
        tensor([2., 2.])
    """
    listed = list(scores)
    if not listed:
        raise InputError("a group without filters cannot be ranked")
    return torch.stack(listed).sum(dim=0) if len(listed) > 1 else listed[0]
