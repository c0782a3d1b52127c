"""Filters (n, d) to worth (n,), higher stays, or likeness (n, n), higher is more alike."""

from secateurs.measure.cosine import Cosine, cosine
from secateurs.measure.euclidean import Euclidean, euclidean_distances
from secateurs.measure.geometric_median import GeometricMedian, distance_to_all
from secateurs.measure.norm import L1Norm, L2Norm, l1_norm, l2_norm
from secateurs.measure.random import Random, random_worth

__all__ = [
    "Cosine",
    "Euclidean",
    "GeometricMedian",
    "L1Norm",
    "L2Norm",
    "Random",
    "cosine",
    "distance_to_all",
    "euclidean_distances",
    "l1_norm",
    "l2_norm",
    "random_worth",
]
