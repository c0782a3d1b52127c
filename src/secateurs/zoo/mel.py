"""The mel filter banks of the front ends, under the name that the networks here know them by."""

from secateurs.audio.mel import htk_filters, slaney_filters

__all__ = ["htk_filters", "slaney_filters"]
