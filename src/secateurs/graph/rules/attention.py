"""Attention: whole heads may leave; what is compared or averaged inside a head stays.

No head reads another, and the softmax runs over the keys, so a head that nothing reads contributes nothing: its
rows of the query, key and value projections and its columns of the output projection leave together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from secateurs.graph.labels import Axis, Labels
from secateurs.graph.program import Op, Value
from secateurs.graph.rules.contraction import add_term, shared_by_activations

Rule = Callable[[Labels, Op], None]

_PACKED = {"embed_dim", "kdim", "vdim", "num_heads", "head_dim"}
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def _attention(labels: Labels, op: Op) -> None:
    """softmax(q k^T) v, with q, k, v of shape (..., heads, places, width of a head)."""
    q, k, v = op.args[:3]
    a, b, c = labels.of(q), labels.of(k), labels.of(v)
    inside = [a[-1], b[-1], a[-2], b[-2], c[-2]]
    labels.lock(inside, f"is mixed by attention in {op}")
    labels.doubt(inside)
    lead = [
        shared_by_activations(labels, op, list(zip((q, k, v), axes, strict=True)))
        for axes in zip(a[:-2], b[:-2], c[:-2], strict=True)
    ]
    mask = op.arg(3, "attn_mask")
    if isinstance(mask, Value):
        lead = _masked(labels, op, lead, mask)
    macs = math.prod(q.shape[:-1]) * k.shape[-2]
    add_term(labels, op, float(macs * q.shape[-1]), *lead)
    add_term(labels, op, float(macs * v.shape[-1]), *lead, c[-1])
    labels.set(op.outs[0], [*lead, None, c[-1]])
    for extra in op.outs[1:]:  # sums of exponentials, by head and place
        if extra is not None and len(extra.shape) == len(lead) + 1:
            labels.set(extra, [*lead, None])


def lock_packed(labels: Labels) -> None:
    """Lock the heads of PyTorch's own layer: it has no attribute for the width of all its heads together."""
    for name, axis, first, length in labels.slots:
        path, _, tensor = name.rpartition(".")
        if axis == 0 and tensor in _PROJECTIONS and set(labels.numbers.get(path, {})) >= _PACKED:
            reason = (
                f"belongs to the heads of nn.MultiheadAttention '{path}', which divides the width of its input by "
                "the number of heads, so that no head can leave alone"
            )
            labels.lock(np.arange(first, first + length), reason)


def _masked(labels: Labels, op: Op, lead: list[Axis], mask: Value) -> list[Axis]:
    """A mask or bias added to the products before the softmax: one for all heads, or one for each."""
    axes = labels.of(mask)
    labels.lock(axes[-2:], f"is mixed by attention in {op}")
    result = list(lead)
    shift = len(lead) + 2 - len(axes)
    for i, (axis, size) in enumerate(zip(axes[:-2], mask.shape[:-2], strict=True)):
        if size != 1:
            result[i + shift] = labels.unite(result[i + shift], axis, op)
    return result


RULES: dict[str, Rule] = {
    "attention": _attention,
}
