"""From what a user types to data: `digits`, `cifar10:PATH`, `imagefolder:PATH`, sound, or the user's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from secateurs.data.audiofolder import audiofolder
from secateurs.data.audioset import audioset
from secateurs.data.cifar10 import cifar10
from secateurs.data.digits import digits
from secateurs.data.esc50 import esc50
from secateurs.data.hearing import parted
from secateurs.data.imagefolder import imagefolder
from secateurs.data.normalisation import Normalisation
from secateurs.data.own import own_data
from secateurs.data.source import DataSource
from secateurs.data.tau2020 import tau2020
from secateurs.errors import InputError

FOLDERS: Mapping[str, Callable[..., DataSource]] = {"cifar10": cifar10, "imagefolder": imagefolder}
SOUNDS: Mapping[str, Callable[..., DataSource]] = {
    "esc50": esc50,
    "tau2020": tau2020,
    "audioset": audioset,
    "audiofolder": audiofolder,
}
"""Data sets of sound, which take settings after the path."""


def names_own_data(spec: str) -> bool:
    """Whether a name is of code that `resolve_data` would import and run.

    Example:
        >>> names_own_data("mine:data"), names_own_data("cifar10:/data"), names_own_data("digits")
        (True, False, False)
    """
    return ":" in spec and spec.partition(":")[0] not in {*FOLDERS, *SOUNDS}


def resolve_data(
    spec: str,
    *,
    normalisation: Normalisation | None = None,
    input_shape: tuple[int, ...] | None = None,
    network: str | None = None,
) -> DataSource:
    """The data that a name stands for.

    Args:
        spec: `digits`, `cifar10:PATH`, `imagefolder:PATH`; for sound `esc50:PATH`, `tau2020:PATH`, `audioset:PATH` or
            `audiofolder:PATH`, each with settings or without (`esc50:PATH:fold=2,subset=esc10`, see
            `secateurs.data.hearing`); or `package.module:callable`, which returns (train, test) loaders or datasets
            and normalises by itself.
        normalisation: The model's; where None, that which is usual for the data.
        input_shape: Shape of one input (without the batch axis) that the model takes, where it is known.
        network: Name of the network, whose front end sound is heard by.

    Raises:
        InputError: unknown name, a folder or file that is missing or damaged, data that do not fit the model.

    Example:
        >>> resolve_data("digits").classes[:3]
        ('0', '1', '2')
    """
    kind, colon, rest = spec.partition(":")
    if kind == "digits":
        if colon:
            raise InputError(
                f"The data '{spec}': digits come with scikit-learn and take no path; write digits."
            )
        return digits(normalisation, input_shape)
    if kind in FOLDERS:
        if not rest:
            raise InputError(f"The data '{spec}' lack the folder: write {kind}:PATH.")
        return FOLDERS[kind](rest, normalisation, input_shape)
    if kind in SOUNDS and rest:
        path, settings = parted(rest)
        return SOUNDS[kind](path, settings, network, input_shape)
    if kind in SOUNDS:
        raise InputError(f"The data '{spec}' lack the folder: write {kind}:PATH.")
    if not colon or not rest or "/" in rest:  # no callable has a slash in its name
        known = ", ".join(["digits", *(f"{name}:PATH" for name in (*FOLDERS, *SOUNDS))])
        raise InputError(f"The data '{spec}' are not known: write {known}, or package.module:callable.")
    return own_data(spec)
