"""The one target among those that were given by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from secateurs.checks import check_kind, shown
from secateurs.errors import InputError
from secateurs.targets.accuracy import AccuracyDrop
from secateurs.targets.base import Target
from secateurs.targets.costs import keep, macs, params
from secateurs.targets.latency import Latency, parted

_OWN = "a target, with a name, a value, counts(attempt) and remarks(attempt, small)"


def _latency(value: Any) -> Target:
    share, measure = parted(value)
    return Latency(value if share is None else share, measure)


_MADE: dict[str, Callable[[Any], Target]] = {
    "macs": macs,
    "params": params,
    "keep": keep,
    "latency": _latency,
    "accuracy_drop": AccuracyDrop,
}


def one_target(given: Mapping[str, Any], spelled: Callable[[str], str] = str) -> Target | None:
    """The target that was given, or None.

    Args:
        given: Values by name, None where a target is not asked for; under "target", one of the user's own.
        spelled: From a name to how the user writes it, for the message.

    Raises:
        InputError: several targets, something that is no number, or a share outside (0, 1].

    Example:
        >>> one_target({"macs": 0.5, "keep": None}).name, one_target({"macs": None})
        ('macs', None)
    """
    found = [(name, value) for name, value in given.items() if value is not None]
    if len(found) > 1:
        both = " and ".join(spelled(name) for name, _ in found)
        names = ", ".join(spelled(name) for name in _MADE)
        raise InputError(f"target: {both} are both given; give one of {names}.")
    if not found:
        return None
    name, value = found[0]
    if name == "target":
        if isinstance(value, type):
            raise InputError(f"target is {shown(value)}; give an object of it.")
        check_kind("target", value, Target, _OWN)
        own: Target = value
        return own
    return _MADE[name](value)
