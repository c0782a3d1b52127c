"""Small networks, one per structure that users write; adding one is one entry in the file it belongs to."""

from patterns import ends, gates, interfaces, kernels, moves, norms, odd, recurrent, shortcuts, sums, weights
from patterns.base import PATTERNS, Net, conv, unit

__all__ = ["PATTERNS", "Net", "conv", "unit"]
