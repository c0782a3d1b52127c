"""Adapters to official data-set layouts."""

from secateurs.data.normalisation import DIGITS, IMAGENET, Normalisation

__all__ = ["DIGITS", "IMAGENET", "Normalisation"]
