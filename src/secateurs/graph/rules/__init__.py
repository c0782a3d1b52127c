"""How labels pass through operations: rules by the names that the table of operations gives them."""

from collections.abc import Callable

from secateurs.graph.labels import Labels
from secateurs.graph.program import Op
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
from secateurs.graph.rules.entry import entry_of

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


def rule_of(op: Op) -> Callable[[Labels, Op], None] | None:
    """The rule of an operation: the table's, else element by element where PyTorch tags it so, else none.

    Example:
        >>> rule_of(Op("cat", (), {}, ())) is RULES["cat"], rule_of(Op("unheard_of", (), {}, ()))
        (True, None)
    """
    name = entry_of(op).passes
    return RULES[name] if name else pointwise if op.pointwise else None


__all__ = ["RULES", "lock_packed", "pointwise", "rule_of"]
