r"""Repairs by the pairs a method made: what read a removed unit reads the partner it was paired with when it left.

$V_{:p} \mathrel{+}= \alpha V_{:j}$ for the removed unit j and its partner p, in the order in which units left; a
partner that leaves later takes to its own partner what it was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secateurs.compensate.base import Removal
from secateurs.compensate.one_shot import fill_
from secateurs.compensate.stand_in import StandIn
from secateurs.compensate.walk import Repaired
from secateurs.contracts import Group, Order, Slot
from secateurs.errors import InputError
from secateurs.statistics.statistics import Statistics
from secateurs.statistics.units import key, observe


@dataclass(frozen=True)
class MergePairs:
    r"""Each removed unit is added to its partner; consumers have no constant added.

    With data, the factor is $\alpha = \langle F_p, F_j \rangle / \langle F_p, F_p \rangle$ of the maps F that each
    consumer reads, as QSFM's merge has it; without, it is 1, which is exact where the maps are equal.

    References:
        [wang2022qsfm] [zhang2019channel] (abstracts; readings).
    """

    name: str
    needs_data: bool

    def __call__(self, small: nn.Module, removal: Removal) -> Repaired:
        """Repair `small` in place.

        Raises:
            InputError: The ranking is missing, or its method pairs no units.
        """
        orders = _orders(self.name, removal)
        stats = Statistics(0)
        if self.needs_data:
            stats = observe(
                removal.model,
                removal.graph.free,
                removal.data,
                limit=removal.limit,
                progress=removal.progress,
            )
        alone = 0

        def find(group: Group, slot: Slot, gone: Tensor, kept: Tensor) -> StandIn | None:
            nonlocal alone
            gram = None
            if self.needs_data:
                moments = stats.channels.get(key(group, slot))
                if moments is None:
                    return None
                gram = moments.gram()[0].cpu()
            mix = paired(orders[group.name], gone, kept, gram)
            alone += int((mix == 0).all(dim=1).sum())
            return StandIn(
                mix, mix.new_zeros(len(gone)), None if gram is None else _missed(gram, mix, gone, kept)
            )

        left, remarks = fill_(small, removal.model, removal.graph, removal.plan, find)
        if alone:
            remarks = (*remarks, f"{alone} times a unit without a partner left, and nothing stands in for it")
        return Repaired(self.name, left, stats.samples, (*stats.warnings, *remarks))


def paired(order: Order, gone: Tensor, kept: Tensor, gram: Tensor | None = None) -> Tensor:
    r"""Which kept units stand in for those that left, and how much of each: B of shape (r, k).

    Args:
        order: In which units left, with their partners.
        gone: Removed units, shape (r,), rising.
        kept: The others, shape (k,), rising.
        gram: $E[x x^T]$, shape (n, n), for $\alpha_{jp} = E[x_j x_p] / E[x_p^2]$, 0 where the partner is always 0; None
            for $\alpha = 1$.

    Cost:
        O(r n).

    Example:
        >>> order = Order((2, 1, 0), partners=(1, 0, -1))
        >>> paired(order, torch.tensor([1, 2]), torch.tensor([0]))
        tensor([[1.],
                [1.]], dtype=torch.float64)
    """
    n = len(order.units)
    through = torch.eye(n, dtype=torch.float64)
    left = set(gone.tolist())
    for unit, partner in zip(order.units, order.partners or (), strict=False):
        if unit in left and partner >= 0:
            through[:, partner] += _factor(gram, unit, partner) * through[:, unit]
    return through[gone][:, kept]


def _factor(gram: Tensor | None, unit: int, partner: int) -> float:
    if gram is None:
        return 1.0
    power = float(gram[partner, partner])
    return float(gram[unit, partner]) / power if power > 0 else 0.0


def _missed(gram: Tensor, mix: Tensor, gone: Tensor, kept: Tensor) -> float:
    """Share of the removed units' second moments that their stand-ins leave."""
    own = gram.diagonal()[gone]
    cross, inner = gram[gone][:, kept], gram[kept][:, kept]
    rest = own - 2 * (mix * cross).sum(1) + ((mix @ inner) * mix).sum(1)
    return float(rest.clamp_min(0).sum() / own.sum().clamp_min(1e-300))


def _orders(repair: str, removal: Removal) -> Mapping[str, Order]:
    if removal.ranking is None:
        raise InputError(
            f"compensate: '{repair}' needs the ranking that paired the units; give it to Removal(ranking=...)."
        )
    orders = removal.ranking.orders
    if not any(_partners(order) for order in orders.values()):
        raise InputError(
            f"compensate: '{repair}' adds a unit to the one that it was paired with, and '{removal.ranking.method}' "
            "pairs none; use a method that does (similarity, qsfm-ssim, channel-similarity), or the repair 'merge'."
        )
    return orders


def _partners(order: Order) -> Sequence[int]:
    return [partner for partner in order.partners or () if partner >= 0]
