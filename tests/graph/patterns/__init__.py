"""Small networks, one per structure that users write; adding one is one entry in the file it belongs to."""

import importlib

from patterns.base import PATTERNS, Net, conv, unit

<<<<<<< HEAD
for kind in "sums ends kernels gates moves shortcuts norms weights standardised recurrent attention interfaces odd".split():  # noqa: SIM905
=======
for kind in "sums ends kernels gates moves parts shortcuts norms weights standardised recurrent interfaces odd".split():  # noqa: SIM905
>>>>>>> 5e3f810 (Follow slices at attributes and at other tensors' widths, and writes into slices)
    importlib.import_module(f"patterns.{kind}")  # each fills PATTERNS

__all__ = ["PATTERNS", "Net", "conv", "unit"]
