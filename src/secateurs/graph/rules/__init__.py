"""One rule per operation: how labels pass through it."""

from secateurs.graph.rules import (
    attention,
    contraction,
    elementwise,
    movement,
    parts,
    picking,
    recurrent,
    reshape,
    writing,
)
from secateurs.graph.rules.attention import lock_packed
from secateurs.graph.rules.elementwise import pointwise

RULES = {
    **elementwise.RULES,
    **movement.RULES,
    **parts.RULES,
    **picking.RULES,
    **reshape.RULES,
    **contraction.RULES,
    **attention.RULES,
    **recurrent.RULES,
    **writing.RULES,
}

__all__ = ["RULES", "lock_packed", "pointwise"]
