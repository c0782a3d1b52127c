"""Selections: worth (n,) or likeness (n, n) to the order in which units leave."""

from secateurs.select.backward import backward
from secateurs.select.by_worth import by_redundancy, by_worth
from secateurs.select.cluster import cluster
from secateurs.select.coefficients import coefficients, coefficients_of_gram, published_omp_coefficients
from secateurs.select.lasso import lasso
from secateurs.select.lrf import lrf
from secateurs.select.nearest_pairs import nearest_pairs
from secateurs.select.nearest_rows import nearest_pairs_of, nearest_pairs_of_factor, nearest_pairs_of_rows
from secateurs.select.omp import omp
from secateurs.select.similar_pairs import most_similar_pair
from secateurs.select.thinet import thinet

__all__ = [
    "backward",
    "by_redundancy",
    "by_worth",
    "cluster",
    "coefficients",
    "coefficients_of_gram",
    "lasso",
    "lrf",
    "most_similar_pair",
    "nearest_pairs",
    "nearest_pairs_of",
    "nearest_pairs_of_factor",
    "nearest_pairs_of_rows",
    "omp",
    "published_omp_coefficients",
    "thinet",
]
