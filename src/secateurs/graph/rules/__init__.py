"""One rule per operation: how labels pass through it."""

from secateurs.graph.rules import contraction, elementwise, movement, recurrent, reshape
from secateurs.graph.rules.elementwise import pointwise

RULES = {**elementwise.RULES, **movement.RULES, **reshape.RULES, **contraction.RULES, **recurrent.RULES}

__all__ = ["RULES", "pointwise"]
