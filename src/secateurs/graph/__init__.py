"""The structure engine: capture, labels, one rule per operation, groups."""

from secateurs.graph.costs import CostModel
from secateurs.graph.trace import Graph, Tracer, trace
from secateurs.graph.values import retrace_by_values
from secateurs.surgery.calling import evaluating

__all__ = ["CostModel", "Graph", "Tracer", "evaluating", "retrace_by_values", "trace"]
