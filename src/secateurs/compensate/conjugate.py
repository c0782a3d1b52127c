"""Linear least squares without its matrix: preconditioned conjugate gradients on the normal equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Parts = list[Tensor]


def conjugate_gradients(
    normal: Callable[[Parts], Parts],
    right: Sequence[Tensor],
    precondition: Callable[[Parts], Parts],
    steps: int,
    watch: Callable[[Parts], float] | None = None,
) -> Parts:
    r"""Approximate solution of $J^T J x = r$ in `steps` steps.

    Args:
        normal: $x \mapsto J^T J x$, symmetric and not negative.
        right: r, in any number of parts of any shape.
        precondition: $r \mapsto P^{-1} r$ with P near $J^T J$, symmetric and positive.
        steps: At most this many products with `normal`.
        watch: An error at x on other data; of all x on the way the one where it is least is given, and two
            steps after it has begun to rise the way ends.

    Returns:
        x, in parts like r. It stays at what is reached when a direction has no curvature left.

    Example:
        >>> diagonal = torch.tensor([1.0, 2.0, 4.0])
        >>> x, = conjugate_gradients(lambda x: [diagonal * x[0]], [torch.ones(3)], lambda r: r, 3)
        >>> x
        tensor([1.0000, 0.5000, 0.2500])
    """
    residual = [r.clone() for r in right]
    x = [torch.zeros_like(r) for r in right]
    shaped = precondition(residual)
    direction = [z.clone() for z in shaped]
    size = _inner(residual, shaped)
    start = size
    best, least, risen = x, float("inf"), 0
    for _ in range(steps):
        if not size > 1e-12 * start:
            break
        image = normal(direction)
        curvature = _inner(direction, image)
        if not curvature > 0:
            break
        length = size / curvature
        for a, d, r, i in zip(x, direction, residual, image, strict=True):
            a.add_(d, alpha=length)
            r.add_(i, alpha=-length)
        if watch is not None:
            now = watch(x)
            if now < least:
                best, least, risen = [a.clone() for a in x], now, 0
            else:
                risen += 1
            if risen == 2:
                break
        shaped = precondition(residual)
        renewed = _inner(residual, shaped)
        direction = [z + (renewed / size) * d for z, d in zip(shaped, direction, strict=True)]
        size = renewed
    return best if watch is not None and least < float("inf") else x


def _inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return float(sum((p.double() * q.double()).sum() for p, q in zip(a, b, strict=True)))
