"""Worth (n,) or likeness (n, n) to the order in which units leave."""

from secateurs.select.by_worth import ByWorth, by_worth
from secateurs.select.nearest_pairs import NearestPairs, nearest_pairs

__all__ = ["ByWorth", "NearestPairs", "by_worth", "nearest_pairs"]
