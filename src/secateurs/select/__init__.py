"""Worth (n,) or likeness (n, n) to the order in which units leave."""

from secateurs.select.backward import Backward, backward
from secateurs.select.by_worth import ByWorth, by_worth
from secateurs.select.cluster import Cluster, cluster
from secateurs.select.coefficients import coefficients, coefficients_of_gram, published_omp_coefficients
from secateurs.select.lasso import Lasso, lasso
from secateurs.select.lrf import Lrf, lrf
from secateurs.select.nearest_pairs import NearestPairs, nearest_pairs
from secateurs.select.nearest_rows import NearestRows, nearest_pairs_of_rows
from secateurs.select.omp import Omp, omp
from secateurs.select.similar_pairs import MostSimilarPair, most_similar_pair, stand_ins
from secateurs.select.thinet import ThiNet, kept_factors, thinet

__all__ = [
    "Backward",
    "ByWorth",
    "Cluster",
    "Lasso",
    "Lrf",
    "MostSimilarPair",
    "NearestPairs",
    "NearestRows",
    "Omp",
    "ThiNet",
    "backward",
    "by_worth",
    "cluster",
    "coefficients",
    "coefficients_of_gram",
    "kept_factors",
    "lasso",
    "lrf",
    "most_similar_pair",
    "nearest_pairs",
    "nearest_pairs_of_rows",
    "omp",
    "published_omp_coefficients",
    "stand_ins",
    "thinet",
]
