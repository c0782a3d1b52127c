"""Meters of a network: its costs, its latency, and how often it is right."""

from secateurs.meters.accuracy import Accuracy, evaluate
from secateurs.meters.costs import Costs, LayerCost, count_costs
from secateurs.meters.latency import Latency, compare_latency, measure_latency

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
