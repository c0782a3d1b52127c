"""One pass over a little data, and what it leaves: moments."""

from secateurs.statistics.moments import Moments
from secateurs.statistics.statistics import Statistics
from secateurs.statistics.units import observe

__all__ = ["Moments", "Statistics", "observe"]
