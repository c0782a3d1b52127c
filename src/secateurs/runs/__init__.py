"""Whole runs, as the command line makes them: open a network, prune it, measure it, put it on record."""

from secateurs.runs.run import Run
from secateurs.runs.source import Source, open_source

__all__ = ["Run", "Source", "open_source"]
