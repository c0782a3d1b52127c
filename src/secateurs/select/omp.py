"""Selection by orthogonal matching pursuit."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.arrays import square
from secateurs.contracts import FloatArray, Order

_EXPLAINED = 1e-10  # a filter whose squared rest is below this share of it is a combination of others
_TIE = 1e-12


def omp(gram: FloatArray | Tensor, *, faithful: bool = False) -> Order:
    r"""Simultaneous orthogonal matching pursuit over the normalised filters; the last chosen leaves first.

    With $\hat f_j = f_j / \lVert f_j \rVert$ and residuals $r_j$ of all of them on the chosen set S,
    the next one chosen is $\arg\max_{i \notin S} \sum_j |\langle r_j, \hat f_i \rangle|$.

    All these products are one matrix, $R = \hat G - \hat G_{:S} (\hat G_{SS} + \rho I)^{-1} \hat G_{S:}$,
    and choosing i changes it by $R_{:i} R_{i:} / (R_{ii} + \rho)$: a step of a pivoted Cholesky
    factorisation, nothing is ever solved again.

    Args:
        gram: $F F^T$ of the filters, shape (n, n).
        faithful: The published code fits with $\rho = 1$, so that chosen filters keep a residual
            and count on; otherwise $\rho = 0$, which is the pursuit of the formula.

    Returns:
        All n units. Damage is the part of $\sum_j \lVert r_j \rVert^2$ (without unit; plus the ridge's
        part if `faithful`) that choosing the unit took away. Zero filters, then those that are
        combinations of the chosen ones, leave first, at no damage. Among equally good ones the lower index is
        chosen.

    Raises:
        InputError: Not square, not symmetric, or not finite.

    Cost:
        O(n^3 / 3) time (O(n^3 / 2) if `faithful`) and O(n^2) memory, beside the O(n^2 d) of the Gram
        matrix.

    Example:
        >>> import numpy as np
        >>> f = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> omp(f @ f.T).units
        (2, 0, 1)

    References:
        [purohit2022accurate] Accurate and efficient channel pruning via orthogonal matching pursuit,
        AIMLSystems 2022.
    """
    matrix = square(gram, "gram")
    length = matrix.diagonal().clamp(min=0.0).sqrt()
    dead = length <= 1e-150
    scale = torch.where(dead, 0.0, 1.0 / torch.where(dead, 1.0, length))
    chosen, damage = _pursue(matrix * scale[:, None] * scale, faithful=faithful)
    taken = set(chosen)
    left = [i for i in range(len(matrix)) if i not in taken]
    left.sort(key=lambda i: not bool(dead[i]))
    return Order((*left, *reversed(chosen)), (*[0.0] * len(left), *reversed(damage)))


def _pursue(rest: Tensor, *, faithful: bool) -> tuple[list[int], list[float]]:
    """`rest` is overwritten; its rows are candidates, its columns all filters whose residual counts."""
    noise = 1.0 if faithful else 0.0
    names = torch.arange(len(rest), device=rest.device)  # of the rows
    place = names.clone()  # of the rows among the columns
    own = rest.diagonal().clone()  # R_ii
    open_ = own > _EXPLAINED
    chosen: list[int] = []
    damage: list[float] = []
    while bool(open_.any()):
        gain = torch.where(open_, torch.linalg.vector_norm(rest, 1, dim=1), -1.0)
        at = int((gain >= gain.max() * (1.0 - _TIE)).to(torch.uint8).argmax())
        across = rest[at].clone()
        down = across[place]
        pivot = own[at] + noise
        damage.append(float(across @ across / pivot))
        chosen.append(int(names[at]))
        rest.addr_(down, across, alpha=-1.0 / float(pivot))
        own -= down * down / pivot
        open_[at] = False
        open_ &= own > _EXPLAINED
        if 8 * int(open_.sum()) < 7 * len(open_):  # what is chosen or explained is no candidate any more
            kept = open_.nonzero()[:, 0]
            rest = rest[kept] if faithful else rest[kept][:, kept]  # and has no residual, but for the ridge
            names, own, open_ = names[kept], own[kept], open_[kept]
            place = place[kept] if faithful else torch.arange(len(kept), device=kept.device)
    return chosen, damage
