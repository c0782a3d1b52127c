"""One pass over a little data, and what it leaves: moments."""

from secateurs.observe.moments import Moments
from secateurs.observe.statistics import Statistics
from secateurs.observe.units import observe

__all__ = ["Moments", "Statistics", "observe"]
