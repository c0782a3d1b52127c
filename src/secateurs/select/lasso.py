"""Selection of channels by the LASSO path."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secateurs.arrays import checked, square
from secateurs.contracts import FloatArray, Order
from secateurs.errors import InputError

_ROUNDING = 1e-12


class _Path(NamedTuple):
    entered: FloatArray  # rank at which each channel first became non-zero, inf if never
    coefficients: FloatArray  # (n, knots)


def lasso(
    gram: FloatArray | Tensor, target: FloatArray | Tensor | None = None, *, keep: int | None = None
) -> Order:
    r"""Order channels by their entry into the LASSO path; the last to enter leaves first.

    $\min_\beta \frac{1}{2} \lVert y - \sum_c \beta_c z_c \rVert^2 + \lambda \lVert \beta \rVert_1$, where $z_c$ is
    what channel c contributes to the sampled outputs y of the next layer. The published code searches for a
    $\lambda$ that leaves the wanted number of $\beta_c$ non-zero; here least-angle regression gives
    the solution for every $\lambda$ at once.

    Args:
        gram: $Z^T Z$ of the sampled contributions, shape (n, n).
        target: $Z^T y$, shape (n,). None is $Z^T Z 1$: y is the sum of these contributions, which
            they are unless layers before have been pruned already.
        keep: Keep exactly the channels that the $\lambda$ found for this count keeps: of the solutions with
            at least so many non-zero coefficients the sparsest, and of it the largest ones. Those leave last. None
            orders by entry alone, so that smaller sets are parts of larger ones.

    Returns:
        All n units. Damage is the rise of the squared error after least squares on what is left.

    Raises:
        InputError: Not square, not symmetric, not finite, sizes that differ, or keep not from 1 to n.

    Cost:
        O(n^3), from scikit-learn's least-angle regression.

    Example:
        >>> import numpy as np
        >>> z = np.array([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0]])
        >>> lasso(z.T @ z).units
        (0, 2, 1)

    References:
        [he2017channel] Channel pruning for accelerating very deep neural networks, ICCV 2017.
        [efron2004least] Least angle regression, Annals of Statistics 2004.
    """
    matrix = square(gram, "gram").cpu()
    n = len(matrix)
    wanted = matrix.sum(dim=1) if target is None else checked(target, "target", ndim=1).cpu()
    if len(wanted) != n:
        raise InputError(f"target: {len(wanted)} channels, but gram has {n}; take both from the same samples")
    if keep is not None and not 1 <= keep <= n:
        raise InputError(f"keep: got {keep}; give 1 to {n}, the number of channels")
    unit = float(matrix.diagonal().mean()) or 1.0  # the solver's tolerances are absolute
    path = _path((matrix / unit).numpy(), (wanted / unit).numpy())
    units = np.lexsort((np.arange(n), -path.entered))
    if keep is not None:
        stays = _kept(path, keep)
        units = np.concatenate([units[~np.isin(units, stays)], units[np.isin(units, stays)]])
    return Order(tuple(units.tolist()), _damage(matrix, wanted, units))


def _path(gram: FloatArray, target: FloatArray) -> _Path:
    from sklearn.linear_model import lars_path_gram

    # It drops channels that are combinations of others, as it should, and may warn of them.
    _, _, coefficients = lars_path_gram(
        target.copy(), gram.copy(), n_samples=1, method="lasso", alpha_min=0.0
    )
    active = coefficients != 0
    entered = np.where(active.any(axis=1), active.argmax(axis=1), np.inf)
    return _Path(entered.astype(np.float64), coefficients)


def _kept(path: _Path, keep: int) -> NDArray[np.int64]:
    counts = (path.coefficients != 0).sum(axis=0)
    enough = np.flatnonzero(counts >= keep)
    # fewer independent channels than wanted: take the fullest solution, and fill up by index
    knot = int(enough[counts[enough].argmin()] if len(enough) else counts.argmax())
    size = np.abs(path.coefficients[:, knot])
    return np.sort(np.lexsort((np.arange(len(size)), -size))[:keep])


def _damage(gram: Tensor, target: Tensor, units: NDArray[np.int64]) -> tuple[float, ...]:
    """How much the least-squares error rises when each unit leaves: one factor gives all of them."""
    order = torch.from_numpy(units[::-1].copy())
    part = gram[order][:, order].clone()
    part.diagonal().add_(_ROUNDING * float(part.diagonal().mean()) + 1e-300)
    factor = torch.linalg.cholesky(part)
    drops = torch.linalg.solve_triangular(factor, target[order][:, None], upper=False)[:, 0].square()
    return tuple(drops.flip(0).tolist())
