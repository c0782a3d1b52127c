"""What the table of operations says of an operation that is captured."""

from __future__ import annotations

from secateurs.graph.program import Op
from secateurs.network.operations import OPERATIONS, Operation

_UNKNOWN = Operation("arithmetic")


def entry_of(op: Op) -> Operation:
    """The entry of an operation; of one that is not in the table, that of plain arithmetic.

    Example:
        >>> entry_of(Op("max_pool2d", (), {}, ())).space
        2
    """
    return OPERATIONS.get(op.name, _UNKNOWN)
