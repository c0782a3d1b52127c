"""Backward elimination of units by their consumers' least-squares error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.contracts import IntArray, Order
from secateurs.errors import InputError

_DEAD = 1.1  # columns there are for each that stays, before those that are gone are forgotten


@dataclass(frozen=True, eq=False)
class Consumer:
    """One consumer of the units of a group.

    Attributes:
        gram: $E[s s^T]$ of its input rows with a constant, s = (x, 1), shape (g, d + 1, d + 1).
        weights: Its weights M, shape (g, o, d).
        columns: Which columns of M belong to each unit, shape (n, m).
    """

    gram: Tensor
    weights: Tensor
    columns: IntArray


def moments(consumers: Sequence[Consumer], *, ridge: float = 1e-6) -> Order:
    r"""Backward elimination by the exact rise of the consumers' least-squares error.

    When the columns c of a unit leave a layer with outputs $W x$ and the others are refitted, the squared error
    rises by exactly $\operatorname{tr}(W_c\,(P_{cc})^{-1} W_c^T)$, with $P = (E[s s^T] + \rho I)^{-1}$ and W the refit
    so far. Then $W \leftarrow W - W_c P_{cc}^{-1} P_{c:}$ and $P \leftarrow P - P_{:c} P_{cc}^{-1} P_{c:}$, so that
    nothing is ever solved afresh. Errors of several consumers are added, each relative to the variance of its outputs.

    Args:
        consumers: All layers that read the units; n is that of their columns.
        ridge: $\rho$ relative to the mean diagonal entry; it keeps dead and duplicate inputs finite.

    Returns:
        All n units, with the rise of the relative squared error as damage. Ties go to the lower index.

    Raises:
        InputError: No consumers, different n, moments that are not finite, or a ridge not above 0.

    Cost:
        O(d^3 + n d^2 t + n^2 (t^3 + t o)) for one consumer of row length d, t columns a unit and o outputs.

    Example:
        >>> gram = torch.diag(torch.tensor([4.0, 1.0, 2.0, 1.0])).double()[None]
        >>> weights = torch.tensor([[[1.0, 1.0, 1.0]]]).double()
        >>> moments([Consumer(gram, weights, torch.arange(3)[:, None].numpy())]).units
        (1, 2, 0)
    """
    if not consumers:
        raise InputError("moments: a group that no layer reads cannot be ranked by its consumers")
    if not ridge > 0:
        raise InputError(f"ridge is {ridge}; give a number above 0 (1e-6 suits most)")
    n = len(consumers[0].columns)
    if any(len(consumer.columns) != n for consumer in consumers):
        raise InputError("moments: the consumers disagree on the number of units")
    states = [_State(consumer, ridge) for consumer in consumers]
    alive = list(range(n))
    units: list[int] = []
    damage: list[float] = []
    while alive:
        costs = torch.stack([state.costs(alive) for state in states]).sum(0)
        least = float(costs.min())
        k = int((costs <= least + 1e-12 * abs(float(costs.max()))).nonzero()[0, 0])
        damage.append(max(0.0, float(costs[k])))
        units.append(alive.pop(k))
        for state in states:
            state.leave(units[-1])
    return Order(tuple(units), tuple(damage))


class _State:
    """The inverse moments and the refitted weights of one consumer as units leave."""

    def __init__(self, consumer: Consumer, ridge: float) -> None:
        gram = consumer.gram.to(torch.float64)
        if not bool(torch.isfinite(gram).all()):
            raise InputError("moments: some are NaN or infinite; check the normalisation of the data")
        size = gram.diagonal(dim1=1, dim2=2)[:, :-1].mean(1)
        rho = ridge * torch.where(size > 0, size, torch.ones_like(size))
        system = gram.clone()
        system.diagonal(dim1=1, dim2=2).add_(rho[:, None])
        self.precision = torch.linalg.inv(system)
        weights = consumer.weights.to(torch.float64)
        self.weights = torch.cat([weights, torch.zeros_like(weights[..., :1])], 2)
        self.columns = torch.as_tensor(consumer.columns, device=gram.device)
        self.stay = torch.ones(gram.shape[1], dtype=torch.bool, device=gram.device)
        mean = (self.weights @ gram)[..., -1]
        energy = ((self.weights @ gram) * self.weights).sum(2) - mean**2
        self.unit = float(energy.sum().clamp_min(1e-300))

    def costs(self, alive: Sequence[int]) -> Tensor:
        """What it costs to lose each of the units that are left, shape (alive,)."""
        columns = self.columns[list(alive)]
        if columns.shape[1] == 1:  # thousands of systems of one equation
            c = columns[:, 0]
            single: Tensor = (
                self.weights[:, :, c].square().sum(1) / self.precision.diagonal(dim1=1, dim2=2)[:, c]
            )
            return single.sum(0) / self.unit
        own = self.precision[:, columns[:, :, None], columns[:, None, :]]  # (g, alive, t, t)
        parts = self.weights[:, :, columns].permute(0, 2, 3, 1)  # (g, alive, t, o)
        solved = torch.linalg.solve(own, parts)
        total: Tensor = (solved * parts).sum((0, 2, 3))
        return total / self.unit

    def leave(self, unit: int) -> None:
        """Block downdate: the unit's columns are gone, the others refitted."""
        c = self.columns[unit]
        rows = self.precision[:, c]
        solved = torch.linalg.solve(rows[:, :, c], rows)  # (g, t, d + 1)
        self.weights.baddbmm_(self.weights[:, :, c], solved, alpha=-1)
        self.precision.baddbmm_(self.precision[:, :, c], solved, alpha=-1)
        self.weights[:, :, c] = 0.0
        self.stay[c] = False
        if self.stay.numel() > _DEAD * int(self.stay.sum()):
            self._shrink()

    def _shrink(self) -> None:
        """Forget the columns that are gone: all that is left costs the square of how many there are."""
        self.precision = self.precision[:, self.stay][:, :, self.stay].contiguous()
        self.weights = self.weights[:, :, self.stay].contiguous()
        self.columns = (self.stay.cumsum(0) - 1)[self.columns]  # those of units that are gone are never read
        self.stay = self.stay[self.stay]
