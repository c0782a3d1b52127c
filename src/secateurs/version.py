"""The version of this release; it stands here alone."""

__version__ = "0.1.0"
