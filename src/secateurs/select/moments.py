"""Backward elimination of units by their consumers' least-squares error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from secateurs.contracts import IntArray, Order
from secateurs.errors import InputError

_DEAD = 1.1  # columns there are for each that stays, before those that are gone are forgotten
_PENDING = 128  # columns that have left, before what they change is brought up to date everywhere


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
    nothing is ever solved afresh; of W only $W^T W$ is needed. Errors of several consumers are added, each relative to
    the variance of its outputs.

    Args:
        consumers: All layers that read the units; n is that of their columns.
        ridge: $\rho$ relative to the mean diagonal entry; it keeps dead and duplicate inputs finite.

    Returns:
        All n units, with the rise of the relative squared error as damage. Ties go to the lower index.

    Raises:
        InputError: No consumers, different n, moments that are not finite, or a ridge not above 0.

    Cost:
        O(d^3 + d^2 o + n d^2 t + n^2 t^3) for one consumer of row length d, t columns a unit and o outputs;
        memory 3 d^2.

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
    r"""The inverse moments P and the products $S = W^T W$ of the refitted weights of one consumer, as units leave.

    Both are behind by what the last units changed, $P - X Y^T$ and $S - A Y^T - Y A^T$: products of many columns at
    once cost a tenth of as many products of few. Only the blocks $P_{cc}$ and $S_{cc}$ of every unit are up to date.
    """

    def __init__(self, consumer: Consumer, ridge: float) -> None:
        gram = consumer.gram.to(torch.float64)
        if not bool(torch.isfinite(gram).all()):
            raise InputError("moments: some are NaN or infinite; check the normalisation of the data")
        size = gram.diagonal(dim1=1, dim2=2)[:, :-1].mean(1)
        rho = ridge * torch.where(size > 0, size, torch.ones_like(size))
        weights = consumer.weights.to(torch.float64)
        moved = weights @ gram[:, :-1]
        energy = (moved[..., :-1] * weights).sum(2) - moved[..., -1].square()
        self.unit = float(energy.sum().clamp_min(1e-300))
        self.precision = _inverse(gram, rho)
        self.spread = torch.nn.functional.pad(weights.transpose(1, 2) @ weights, (0, 1, 0, 1))
        self.columns = torch.as_tensor(consumer.columns, device=gram.device)
        self.place = torch.arange(
            len(self.columns), device=gram.device
        )  # of a unit in the two lists of blocks
        self.own = self._blocks(self.precision)
        self.own_spread = self._blocks(self.spread)
        self.stay = torch.ones(gram.shape[1], dtype=torch.bool, device=gram.device)
        self._forget_pending()

    def _blocks(self, square: Tensor) -> Tensor:
        """The block of each unit on the diagonal, shape (n, g, t, t)."""
        return square[:, self.columns[:, :, None], self.columns[:, None, :]].transpose(0, 1).contiguous()

    def _forget_pending(self) -> None:
        shape = (*self.precision.shape[:2], _PENDING + self.columns.shape[1])
        self.x, self.y, self.a = (self.precision.new_empty(shape) for _ in range(3))
        self.pending = 0

    def costs(self, alive: Sequence[int]) -> Tensor:
        """What it costs to lose each of the units that are left, shape (alive,)."""
        place = self.place[list(alive)]
        own, spread = self.own[place], self.own_spread[place]
        if own.shape[-1] == 1:  # thousands of systems of one equation
            return (spread / own).sum((1, 2, 3)) / self.unit
        solved: Tensor = torch.linalg.solve(own, spread)
        return solved.diagonal(dim1=2, dim2=3).sum((1, 2)) / self.unit

    def leave(self, unit: int) -> None:
        """Block downdate: the unit's columns are gone, the others refitted."""
        c = self.columns[self.place[unit]]
        x, s = self._rows(c)
        y = torch.linalg.solve(x[:, :, c], x)  # (g, t, d + 1)
        a = s - s[:, :, c] @ y / 2
        new = slice(self.pending, self.pending + len(c))
        for kept, part in ((self.x, x), (self.y, y), (self.a, a)):
            kept[:, :, new] = part.transpose(1, 2)
        self.pending = new.stop
        own_x, own_y, own_a = (part.transpose(1, 2)[:, self.columns].transpose(0, 1) for part in (x, y, a))
        self.own -= own_x @ own_y.mT
        both = own_a @ own_y.mT
        self.own_spread -= both + both.mT
        self.stay[c] = False
        if self.pending >= _PENDING:
            self._catch_up()

    def _rows(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of P and of S as they are now, shape (g, t, d + 1)."""
        x, y, a = (kept[:, :, : self.pending] for kept in (self.x, self.y, self.a))
        precision = self.precision[:, c].baddbmm(x[:, c], y.mT, alpha=-1)
        spread = self.spread[:, c].baddbmm(a[:, c], y.mT, alpha=-1).baddbmm(y[:, c], a.mT, alpha=-1)
        return precision, spread

    def _catch_up(self) -> None:
        """Bring P and S up to date, without the columns that are gone: the rest costs the square of their number."""
        x, y, a = (kept[:, :, : self.pending] for kept in (self.x, self.y, self.a))
        if self.stay.numel() > _DEAD * int(self.stay.sum()):
            x, y, a = (kept[:, self.stay] for kept in (x, y, a))
            self.precision, self.spread = (
                p[:, self.stay][:, :, self.stay] for p in (self.precision, self.spread)
            )
            self._renumber()
        self.precision.baddbmm_(x, y.mT, alpha=-1)
        self.spread.baddbmm_(a, y.mT, alpha=-1).baddbmm_(y, a.mT, alpha=-1)
        self._forget_pending()

    def _renumber(self) -> None:
        """Lists of units and columns without those that are gone; the place of a unit that is gone is never read."""
        alive = self.stay[self.columns[:, 0]]
        self.place = (alive.cumsum(0) - 1)[self.place]
        self.own, self.own_spread = self.own[alive], self.own_spread[alive]
        self.columns = (self.stay.cumsum(0) - 1)[self.columns[alive]]
        self.stay = self.stay[self.stay]


def _inverse(gram: Tensor, rho: Tensor) -> Tensor:
    """(gram + rho I)^{-1}; where rounding has left that indefinite, with as many times rho as it takes."""
    system = gram.clone()
    system.diagonal(dim1=1, dim2=2).add_(rho[:, None])
    factor, info = torch.linalg.cholesky_ex(system)
    while bool(info.any()):
        rho = 10 * rho
        system.diagonal(dim1=1, dim2=2).add_(0.9 * rho[:, None])
        factor, info = torch.linalg.cholesky_ex(system)
    return torch.cholesky_inverse(factor)
