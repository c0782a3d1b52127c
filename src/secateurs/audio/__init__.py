"""Sound: clips from files, and the front ends that make a network's inputs of them.

Files need the packages of `pip install "secateurs[audio]"`; the front ends need torch alone.
"""

from secateurs.audio.cache import FeatureCache
from secateurs.audio.clipwise import MeanOverWindows
from secateurs.audio.front import FrontEnd
from secateurs.audio.log_mel import LogMel, Spectrum
from secateurs.audio.presets import FRONTS, front_named, front_of
from secateurs.audio.reader import Reading, blocks, read_clip
from secateurs.audio.stream import cut, frames_of, inputs_of

__all__ = [
    "FRONTS",
    "FeatureCache",
    "FrontEnd",
    "LogMel",
    "MeanOverWindows",
    "Reading",
    "Spectrum",
    "blocks",
    "cut",
    "frames_of",
    "front_named",
    "front_of",
    "inputs_of",
    "read_clip",
]
