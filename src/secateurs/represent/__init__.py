"""Representations: a group as rows, one for every unit.

Functions turn the weights (n, c, t) of one layer into rows (n, d); classes say which layers, batch norms or data
the rows come from.
"""

from secateurs.represent.batch_norm import batch_norm_scale
from secateurs.represent.data import Contributions, FeatureMaps
from secateurs.represent.flat import flat, kernels
from secateurs.represent.group import BatchNorms, Blank, ConsumerWeights, Filters
from secateurs.represent.rank_one import rank_one_direction

__all__ = [
    "BatchNorms",
    "Blank",
    "ConsumerWeights",
    "Contributions",
    "FeatureMaps",
    "Filters",
    "batch_norm_scale",
    "flat",
    "kernels",
    "rank_one_direction",
]
