"""A group's filters (n, c, t) as one matrix (n, d), one row a filter."""

from secateurs.represent.batch_norm import BatchNormFolded, batch_norm_folded, batch_norm_scale
from secateurs.represent.flat import Flat, flat
from secateurs.represent.normalised import Normalised, normalised
from secateurs.represent.rank_one import RankOneDirection, rank_one_direction

__all__ = [
    "BatchNormFolded",
    "Flat",
    "Normalised",
    "RankOneDirection",
    "batch_norm_folded",
    "batch_norm_scale",
    "flat",
    "normalised",
    "rank_one_direction",
]
