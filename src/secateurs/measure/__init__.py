"""Filters (n, d) to worth (n,), higher stays, or likeness (n, n), higher is more alike."""

from secateurs.measure.bn_scale import BnScale, bn_scale
from secateurs.measure.channel_distribution import ChannelDistribution, channel_distances
from secateurs.measure.cosine import Cosine, cosine
from secateurs.measure.degree import AbsoluteDegree, WeightedDegree, absolute_degree, weighted_degree
from secateurs.measure.euclidean import Euclidean, euclidean_distances
from secateurs.measure.geometric_mean import GeometricMean, geometric_mean_gap
from secateurs.measure.geometric_median import GeometricMedian, distance_to_all
from secateurs.measure.gram import Gram, gram
from secateurs.measure.graph_paths import Betweenness, Closeness, betweenness, closeness
from secateurs.measure.graph_spectrum import Eigenvector, PageRank, eigenvector_centrality, pagerank
from secateurs.measure.hrank import HRank, rank_sum
from secateurs.measure.map_mean import MapMean
from secateurs.measure.norm import L1Norm, L2Norm, l1_norm, l2_norm
from secateurs.measure.nystrom import NystromCosine, nystrom_cosine, nystrom_error, nystrom_factor
from secateurs.measure.operator_norm import OperatorNorm, operator_norm_score
from secateurs.measure.psnr import Psnr, psnr_sum
from secateurs.measure.random import Random, random_worth
from secateurs.measure.ssim import Ssim, ssim_sum
from secateurs.measure.taylor import Taylor, taylor_sum
from secateurs.measure.unit_range import unit_range

__all__ = [
    "AbsoluteDegree",
    "Betweenness",
    "BnScale",
    "ChannelDistribution",
    "Closeness",
    "Cosine",
    "Eigenvector",
    "Euclidean",
    "GeometricMean",
    "GeometricMedian",
    "Gram",
    "HRank",
    "L1Norm",
    "L2Norm",
    "MapMean",
    "NystromCosine",
    "OperatorNorm",
    "PageRank",
    "Psnr",
    "Random",
    "Ssim",
    "Taylor",
    "WeightedDegree",
    "absolute_degree",
    "betweenness",
    "bn_scale",
    "channel_distances",
    "closeness",
    "cosine",
    "distance_to_all",
    "eigenvector_centrality",
    "euclidean_distances",
    "geometric_mean_gap",
    "gram",
    "l1_norm",
    "l2_norm",
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
    "unit_range",
    "weighted_degree",
]
