"""The structure of a network of which only convolutions are pruned."""

from __future__ import annotations

from dataclasses import replace

from secateurs.contracts import Group
from secateurs.errors import TargetError
from secateurs.graph.trace import Graph


def convolutions_only(graph: Graph, method: str) -> Graph:
    """The graph with every group locked whose channels some layer makes that is no convolution.

    Args:
        graph: Of any network.
        method: Whose paper prunes convolutions only, for the reason.

    Raises:
        TargetError: Nothing else may leave.

    Example:
        >>> from torch import nn, zeros
        >>> from secateurs.graph import trace
        >>> net = nn.Sequential(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(2, 3), nn.Linear(3, 1))
        >>> graph = convolutions_only(trace(net, zeros(1, 1, 1)), "lrf:faithful")
        >>> [group.name for group in graph.free], graph["2"].locked
        (['0'], 'comes from a layer that is no convolution, and lrf:faithful prunes convolutions only')
    """
    reason = f"comes from a layer that is no convolution, and {method} prunes convolutions only"
    groups = (g if g.locked or _convolved(graph, g) else replace(g, locked=reason) for g in graph.groups)
    found = replace(graph, groups=tuple(groups))
    if graph.free and not found.free:
        raise TargetError(
            f"method: {method} prunes convolutions only, and the channels that may leave this "
            f"{type(graph.model).__name__} come from other layers; use {method.partition(':')[0]}."
        )
    return found


def _convolved(graph: Graph, group: Group) -> bool:
    axes = [len(graph.shapes[slot.tensor]) for slot in group.slots_as("producer")]
    return max(axes, default=0) > 2 and 2 not in axes
