"""What a network costs and how well it does."""

from secateurs.report.accuracy import Accuracy, evaluate
from secateurs.report.costs import Costs, LayerCost, count_costs
from secateurs.report.latency import Latency, compare_latency, measure_latency

__all__ = [
    "Accuracy",
    "Costs",
    "Latency",
    "LayerCost",
    "compare_latency",
    "count_costs",
    "evaluate",
    "measure_latency",
]
