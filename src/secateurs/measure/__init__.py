"""Measures: rows (n, d) to worth (n,), higher stays, or likeness (n, n), higher is more alike.

A measure is a function. Centralities and distances are the other way round, which `select` knows. Measures of
feature maps end in `_sum`: they add up over batches (`MapMean`).
"""

from secateurs.measure.bn_scale import bn_scale
from secateurs.measure.channel_distribution import channel_distances
from secateurs.measure.cosine import cosine, cosine_likeness
from secateurs.measure.degree import absolute_degree, weighted_degree
from secateurs.measure.geometric_mean import geometric_mean_gap
from secateurs.measure.geometric_median import distance_to_all
from secateurs.measure.gram import gram
from secateurs.measure.graph_paths import betweenness, closeness
from secateurs.measure.graph_spectrum import eigenvector_centrality, pagerank
from secateurs.measure.hrank import rank_sum
from secateurs.measure.map_difference import difference_sum
from secateurs.measure.map_mean import MapMean, batch_sum
from secateurs.measure.norm import l1_norm, l2_norm
from secateurs.measure.nystrom import nystrom, nystrom_cosine, nystrom_error, nystrom_factor
from secateurs.measure.operator_norm import operator_norm_score
from secateurs.measure.psnr import psnr_sum
from secateurs.measure.random import random_worth
from secateurs.measure.ssim import ssim_sum
from secateurs.measure.taylor import taylor_sum

__all__ = [
    "MapMean",
    "absolute_degree",
    "batch_sum",
    "betweenness",
    "bn_scale",
    "channel_distances",
    "closeness",
    "cosine",
    "cosine_likeness",
    "difference_sum",
    "distance_to_all",
    "eigenvector_centrality",
    "geometric_mean_gap",
    "gram",
    "l1_norm",
    "l2_norm",
    "nystrom",
    "nystrom_cosine",
    "nystrom_error",
    "nystrom_factor",
    "operator_norm_score",
    "pagerank",
    "psnr_sum",
    "random_worth",
    "rank_sum",
    "ssim_sum",
    "taylor_sum",
    "weighted_degree",
]
