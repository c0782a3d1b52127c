"""Targets: how small a network is to be."""

from secateurs.targets.accuracy import AccuracyDrop
from secateurs.targets.amounts import Limit
from secateurs.targets.base import Attempt, Target
from secateurs.targets.budgets import Budgeted, Budgets
from secateurs.targets.costs import Counted, keep, macs, params
from secateurs.targets.latency import Latency

__all__ = [
    "AccuracyDrop",
    "Attempt",
    "Budgeted",
    "Budgets",
    "Counted",
    "Latency",
    "Limit",
    "Target",
    "keep",
    "macs",
    "params",
]
