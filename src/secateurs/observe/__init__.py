"""One pass over a little data, and what it leaves: moments."""

from secateurs.observe.moments import Moments
from secateurs.observe.statistics import Statistics

__all__ = ["Moments", "Statistics"]
