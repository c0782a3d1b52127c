"""How the clips of a data set are to be heard, from the settings that a user types after the path."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from secateurs.audio import FRONTS, FeatureCache, FrontEnd, Reading, front_named, front_of
from secateurs.errors import InputError

_SETTINGS = re.compile(r"\w+=[^,=]*(,\w+=[^,=]*)*")
_READING = tuple(field.name for field in dataclasses.fields(Reading))
SETTINGS = ("front", "seconds", "per", "normalise", "bad", "cache", *_READING)
"""What may be set for clips of any data set."""

Bad = Literal["refuse", "skip"]
Per = Literal["window", "clip"]


@dataclass(frozen=True)
class Hearing:
    """How clips become samples.

    Attributes:
        front: What one input is made of.
        reading: What may be done to a clip.
        per: A sample for each "window" of a clip, or one of all windows of a "clip", shape (windows, ...).
        normalise: Whether bins are brought to mean 0 and deviation 1 of the training part.
        bad: A clip that cannot be used: "refuse", or "skip", for which every clip is read once at the start.
        cache: Where features are kept, or None.
    """

    front: FrontEnd
    reading: Reading = dataclasses.field(default_factory=Reading)
    per: Per = "window"
    normalise: bool = False
    bad: Bad = "refuse"
    cache: FeatureCache | None = None

    @property
    def key(self) -> str:
        """What the features of a clip depend on, as text."""
        return f"{self.front.key} {self.reading}"


def parted(rest: str) -> tuple[str, dict[str, str]]:
    """The path and the settings of `PATH` or `PATH:key=value,key=value`.

    Raises:
        InputError: A setting is given twice.

    Example:
        >>> parted("clips:fold=2,short=pad"), parted("a:b")
        (('clips', {'fold': '2', 'short': 'pad'}), ('a:b', {}))
    """
    path, colon, tail = rest.rpartition(":")
    if not colon or not _SETTINGS.fullmatch(tail):
        return rest, {}
    found: dict[str, str] = {}
    for text in tail.split(","):
        name, _, value = text.partition("=")
        if name in found:
            raise InputError(f"The setting {name} is given twice in '{rest}'.")
        found[name] = value
    return path, found


def hearing_of(
    kind: str,
    settings: Mapping[str, str],
    own: Sequence[str],
    network: str | None,
    input_shape: tuple[int, ...] | None,
) -> Hearing:
    """How the clips of a data set are heard.

    Args:
        kind: The data set, for the message.
        settings: What the user set.
        own: Names of settings that the data set reads itself.
        network: The network that is to hear them, whose front end is taken where none is set.
        input_shape: Shape of one input that it takes, where that is known.

    Raises:
        InputError: A setting that is none, no front end, or one for inputs of another shape.

    Example:
        >>> hearing_of("esc50", {"short": "pad"}, (), "yamnet", None).front.rate
        16000
    """
    known = (*own, *SETTINGS)
    strange = next((name for name in settings if name not in known), None)
    if strange is not None:
        raise InputError(f"{kind} has no setting '{strange}': known are {', '.join(known)}.")
    front = _front(kind, settings, network)
    per, bad = settings.get("per", "window"), settings.get("bad", "refuse")
    for name, value, words in (("per", per, get_args(Per)), ("bad", bad, get_args(Bad))):
        if value not in words:
            raise InputError(f"{name}={value}: write {' or '.join(f'{name}={word}' for word in words)}.")
    if input_shape is not None and per == "window" and tuple(input_shape) != front.shape:
        raise InputError(
            f"The front end gives inputs of shape {front.shape}, the model takes {tuple(input_shape)}: set another "
            "front= or seconds=, or give the model's shape as --input."
        )
    cache = FeatureCache(Path(settings["cache"])) if settings.get("cache") else None
    reading = Reading(**{name: settings[name] for name in _READING if name in settings})  # type: ignore[arg-type]
    normalise = _normalise(settings.get("normalise"), front)
    return Hearing(front, reading, per, normalise, bad, cache)  # type: ignore[arg-type]


def _front(kind: str, settings: Mapping[str, str], network: str | None) -> FrontEnd:
    named = settings.get("front")
    front = front_of(network) if named is None else front_named(named)
    if front is None:
        raise InputError(
            f"{kind}: what the network hears of a clip is not known; write front=NAME after the path, as in "
            f"{kind}:PATH:front=yamnet; known are {', '.join(FRONTS)}."
        )
    if "seconds" not in settings:
        return front
    try:
        return front.lasting(float(settings["seconds"]))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"seconds={settings['seconds']}: write how long one input is, as in seconds=5."
        ) from error


def _normalise(word: str | None, front: FrontEnd) -> bool:
    if word not in (None, "train", "none"):
        raise InputError(f"normalise={word}: write normalise=train or normalise=none.")
    wanted = front.normalise if word is None else word == "train"
    if word == "train" and front.spectrum is None:
        raise InputError("normalise=train: the network takes the waveform, which has no bins; leave it out.")
    return wanted
