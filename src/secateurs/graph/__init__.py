"""The structure engine: capture, labels, one rule per operation, groups."""

from secateurs.graph.costs import CostModel
from secateurs.graph.trace import Graph, Tracer, trace

__all__ = ["CostModel", "Graph", "Tracer", "trace"]
