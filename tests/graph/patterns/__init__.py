"""Small networks, one per structure that users write; adding one is one entry in the file it belongs to."""

import importlib

from patterns.base import PATTERNS, Net, conv, unit

KINDS = (
    *("sums", "ends", "kernels", "gates", "moves", "parts", "picks", "shortcuts", "norms", "weights"),
    *("standardised", "recurrent", "attention", "interfaces", "odd"),
)
for kind in KINDS:
    importlib.import_module(f"patterns.{kind}")  # each fills PATTERNS

__all__ = ["PATTERNS", "Net", "conv", "unit"]
