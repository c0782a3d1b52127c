"""The hostile networks, by the class of failure they stand for."""

import importlib

from hostile.base import CASES

for kind in ("state", "outputs", "names", "blind", "branches", "training", "modules", "refused"):
    importlib.import_module(f"hostile.cases.{kind}")  # each fills CASES

__all__ = ["CASES"]
