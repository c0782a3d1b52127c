"""Adapters to official data-set layouts, and one way to read them all."""

from secateurs.data.batches import Batch, Batched, batches, count
from secateurs.data.calibration import Calibration
from secateurs.data.normalisation import DIGITS, IMAGENET, Normalisation
from secateurs.data.resolve import resolve_data
from secateurs.data.source import DataSource

__all__ = [
    "DIGITS",
    "IMAGENET",
    "Batch",
    "Batched",
    "Calibration",
    "DataSource",
    "Normalisation",
    "batches",
    "count",
    "resolve_data",
]
