"""The list of the zoo, gathered from its files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from torch import nn

from secateurs.errors import InputError
from secateurs.zoo import (
    cp_mobile,
    dcase,
    digits,
    mobilenet_v2_cifar,
    mobilenet_v2_folded,
    panns,
    panns_mobilenet,
    resnet_cifar,
    soundnet,
    vgg_cifar,
    vggish,
    yamnet,
)
from secateurs.zoo.entry import ZooEntry

_IMAGES = (resnet_cifar, vgg_cifar, mobilenet_v2_cifar, mobilenet_v2_folded, digits)
_SOUNDS = (dcase, vggish, panns, panns_mobilenet, yamnet, cp_mobile, soundnet)
ENTRIES: tuple[ZooEntry, ...] = tuple(entry for file in (*_IMAGES, *_SOUNDS) for entry in file.ENTRIES)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known names most like `name`, as the end of a message.

    Example:
        >>> nearest("resnet65", ["resnet56", "vgg16_bn"])
        'did you mean resnet56?'
    """
    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {', '.join(close)}?"
    return f"known names: {', '.join(known[:40])}{', ...' if len(known) > 40 else ''}."


def names() -> tuple[str, ...]:
    """The names of all networks of the zoo.

    Example:
        >>> "resnet56" in names()
        True
    """
    return tuple(entry.name for entry in ENTRIES)


def entry(name: str) -> ZooEntry:
    """What the zoo knows about a network.

    Raises:
        InputError: there is no such network; the message lists the nearest names.

    Example:
        >>> entry("resnet56").input_shape
        (3, 32, 32)
    """
    for known in ENTRIES:
        if known.name == name:
            return known
    raise InputError(f"The zoo has no network '{name}': {nearest(name, names())}")


def build(name: str, **settings: Any) -> nn.Module:
    """A network of the zoo, with fresh random weights where it has none of its own.

    Args:
        name: One of `names()`.
        **settings: Handed to the builder; all take `num_classes`, of which trained ones only their own.

    Raises:
        InputError: unknown name, or a setting that the builder does not take.

    Example:
        >>> build("digits_cnn", num_classes=3).linear.out_features
        3
    """
    found = entry(name)
    try:
        return found.build(**settings)
    except TypeError as error:
        raise InputError(f"The zoo's '{name}' could not be built: {error}.") from error
