"""What a network costs and how well it does."""

from secateurs.report.costs import Costs, LayerCost, count_costs

__all__ = ["Costs", "LayerCost", "count_costs"]
