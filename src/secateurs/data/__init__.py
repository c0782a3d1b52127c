"""Adapters to official data-set layouts, and one way to read them all."""

from secateurs.data.batches import Batch, Batched, batches, count, repeatable
from secateurs.data.normalisation import DIGITS, IMAGENET, Normalisation
from secateurs.data.resolve import resolve_data
from secateurs.data.source import DataSource

__all__ = [
    "DIGITS",
    "IMAGENET",
    "Batch",
    "Batched",
    "DataSource",
    "Normalisation",
    "batches",
    "count",
    "repeatable",
    "resolve_data",
]
