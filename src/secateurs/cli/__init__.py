"""The command line: typed functions over the same objects as in Python."""

from secateurs.cli.app import main

__all__ = ["main"]
