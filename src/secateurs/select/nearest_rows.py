"""Selection by nearest-neighbour pairs among very many filters, by tiles of $R R^T$."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from secateurs.arrays import checked
from secateurs.contracts import Factor, FloatArray, IntArray, Order
from secateurs.errors import InputError
from secateurs.select.nearest_pairs import nearest_pairs, settled
from secateurs.select.nearest_pairs import rounds as pair_rounds

_STRIPES = 64  # so many stripes of columns; one number a row and stripe is remembered
_HEIGHT, _WIDTH = 256, 1024  # of one tile of products: 1 MiB, which stays in the cache
_BLOCK = 2**20  # entries of one block of products in float64: 8 MiB
_EPSILON = float(torch.finfo(torch.float32).eps)


def nearest_pairs_of(likeness: Tensor | Factor) -> Order:
    """Select by nearest pairs of a likeness that is a matrix or a factor, to the same order.

    Args:
        likeness: Shape (n, n), or rows (n, r) with inner products as likeness; see `measure.cosine_likeness`.

    Returns:
        All n units.

    Raises:
        InputError: As `nearest_pairs`.

    Cost:
        That of `nearest_pairs`, or of `nearest_pairs_of_rows`.

    Example:
        >>> rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        >>> nearest_pairs_of(Factor(rows, (), 0.0)).units == nearest_pairs_of(rows @ rows.T).units
        True
    """
    return nearest_pairs_of_factor(likeness) if isinstance(likeness, Factor) else nearest_pairs(likeness)


def nearest_pairs_of_factor(
    likeness: Factor, *, decimals: int | None = None, faithful: bool = False
) -> Order:
    """Select by nearest pairs of a likeness that is held as a factor; its notes go on record with the order.

    Args:
        likeness: Rows (n, r) with inner products as likeness; see `measure.nystrom`.
        decimals: As in `nearest_pairs_of_rows`.
        faithful: Take the second smallest distance of each row, as `nearest_pairs` does, of the matrix written out.
            A filter's distance to itself need not be the smallest where a likeness is approximated.

    Returns:
        All n units.

    Raises:
        InputError: As `nearest_pairs_of_rows`.

    Cost:
        That of `nearest_pairs_of_rows`; O(n^2 r) and O(n^2) memory if `faithful`.

    Example:
        >>> likeness = Factor(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), (2,), 0.0)
        >>> nearest_pairs_of_factor(likeness).units
        (2, 1, 0)
    """
    if not faithful:
        return replace(nearest_pairs_of_rows(likeness.rows, decimals=decimals), notes=likeness.notes)
    product = likeness.rows @ likeness.rows.T
    whole = (product + product.T) / 2
    if decimals is not None:
        whole = 1.0 - torch.round(1.0 - whole, decimals=decimals)
    return replace(nearest_pairs(whole, faithful=True), notes=likeness.notes)


def nearest_pairs_of_rows(
    rows: FloatArray | Tensor, *, decimals: int | None = None, rounds: int | None = None
) -> Order:
    r"""Select by nearest pairs of $R R^T$, of which only one tile at a time is formed.

    With rows of length 1 the likeness is the cosine; with `nystrom_factor`'s rows, its Nyström
    approximation.

    Args:
        rows: R, shape (n, r), such that $R R^T$ is the likeness.
        decimals: Round the likeness to so many decimals, as the published code does with 5.
        rounds: Stop after so many rounds of the pair rule; the units left then follow by falling
            index. None goes on until the order is complete. One round is the paper's own selection.

    Returns:
        All n units, exactly as `nearest_pairs` gives them.

    Raises:
        InputError: Not two axes, empty, not finite, or rounds below 1.

    Cost:
        O(n^2 r / 2) a round in float32, of which the best candidates are computed again in float64;
        memory O(n r).

    Example:
        >>> import numpy as np
        >>> rows = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, -1.0]])
        >>> nearest_pairs_of_rows(rows, rounds=1).units
        (2, 3, 1, 0)

    References:
        [singh2023nystrom] Efficient similarity-based passive filter pruning for compressing CNNs,
        ICASSP 2023.
    """
    tensor = checked(rows, "rows")
    if rounds is not None and rounds < 1:
        raise InputError(f"rounds: got {rounds}; give at least 1, or None for a complete order")
    equal = max(0.0, float(tensor.square().sum(dim=1).max()))

    def nearest(units: IntArray) -> tuple[FloatArray, IntArray]:
        part = tensor if len(units) == len(tensor) else tensor[torch.from_numpy(units).to(tensor.device)]
        best, where = nearest_rows(part, decimals=decimals)
        return best.cpu().numpy(), where.cpu().numpy()

    return pair_rounds(len(tensor), nearest, equal=equal, limit=rounds)


def nearest_rows(rows: Tensor, *, decimals: int | None = None) -> tuple[Tensor, Tensor]:
    """Find for each row the other row with the largest inner product, ties by index.

    Tiles of the upper half of the product matrix are computed in float32, and only the maximum of
    each row over each stripe of columns is remembered. The stripes that can hold a row's maximum, within the
    rounding of float32, are then computed in float64.

    Args:
        rows: Shape (n, r), float64, n at least 2.
        decimals: Compare after rounding to so many decimals.

    Returns:
        The largest products and where they are, each of shape (n,).

    Cost:
        O(n^2 r / 2) in float32, about O(n^2 r / 64) in float64; memory O(n r).

    Example:
        >>> nearest_rows(torch.eye(3, dtype=torch.float64) + 0.5)[1]
        tensor([1, 0, 0])
    """
    n, width = rows.shape
    stripe = _WIDTH * max(1, -(-n // (_WIDTH * _STRIPES)))  # whole tiles
    longest = float(rows.square().sum(dim=1).max())
    slack = 2.0 * (width + 2) * _EPSILON * longest
    peaks = _peaks(_fast(rows, slack / 2.0), stripe)
    slack += 0.0 if decimals is None else 10.0**-decimals
    possible = peaks >= peaks.amax(dim=1, keepdim=True) - slack
    best = rows.new_full((n,), -torch.inf)
    where = torch.zeros(n, dtype=torch.int64, device=rows.device)
    for index, start in enumerate(range(0, n, stripe)):
        for part in torch.split(possible[:, index].nonzero()[:, 0], max(1, _BLOCK // stripe)):
            products = rows[part] @ rows[start : start + stripe].T
            inside = (part >= start) & (part < start + stripe)
            products[inside, part[inside] - start] = -torch.inf
            exact = decimals is None
            compared = settled(products, longest) if exact else torch.round(products, decimals=decimals or 0)
            value, at = compared.max(dim=1)
            better = value > best[part]
            best[part[better]] = value[better]
            where[part[better]] = at[better] + start
    return best, where


def _fast(rows: Tensor, tolerance: float) -> Tensor:
    """The rows in float32, unless its products are too coarse: some settings let it be TF32 or bfloat16."""
    single, some = rows.to(torch.float32), slice(0, 128)
    off = (single[some] @ single[some].T).to(torch.float64) - rows[some] @ rows[some].T
    return single if float(off.abs().max()) <= tolerance else rows


def _peaks(rows: Tensor, stripe: int) -> Tensor:
    """Largest product of each row with the other rows of each stripe, shape (n, stripes)."""
    n = len(rows)
    peaks = rows.new_full((-(-n // stripe), n), -torch.inf)
    for left in range(0, n, _WIDTH):
        columns = rows[left : left + _WIDTH].T.contiguous()
        right = left + columns.shape[1]
        for top in range(0, right, _HEIGHT):
            bottom = min(top + _HEIGHT, right)
            tile = rows[top:bottom] @ columns
            if bottom > left:  # on the diagonal: what lies below it has its mirror image above
                place = torch.arange(max(top, left), bottom, device=rows.device)
                tile[place - top, place - left] = -torch.inf
            _raise(peaks[left // stripe, top:bottom], tile.amax(dim=1))
            _raise(peaks[top // stripe, left:right], tile.amax(dim=0))
    return peaks.T


def _raise(peaks: Tensor, to: Tensor) -> None:
    torch.maximum(peaks, to, out=peaks)
