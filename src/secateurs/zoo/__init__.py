"""The networks of the papers, key-compatible with their public checkpoints."""

from secateurs.zoo.entry import ZooEntry
from secateurs.zoo.keras import load_keras_weights
from secateurs.zoo.registry import ENTRIES, build, entry, names
from secateurs.zoo.resolve import names_own_code, resolve_model
from secateurs.zoo.weights import load_weights, read_weights

__all__ = [
    "ENTRIES",
    "ZooEntry",
    "build",
    "entry",
    "load_keras_weights",
    "load_weights",
    "names",
    "names_own_code",
    "read_weights",
    "resolve_model",
]
