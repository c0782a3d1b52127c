"""The one target among those that were given by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from secateurs.checks import check_kind, shown
from secateurs.contracts import Ranking
from secateurs.errors import InputError
from secateurs.targets.accuracy import AccuracyDrop
from secateurs.targets.amounts import limit_given, preset
from secateurs.targets.base import Target
from secateurs.targets.budgets import Budgets, made
from secateurs.targets.costs import Counted, keep, macs, params
from secateurs.targets.latency import Latency, parted
from secateurs.targets.schedule import Bounds
from secateurs.targets.widths import FREE, RoundTo

_OWN = "a target, with a name, a value, counts(attempt) and remarks(attempt, small)"


def _latency(value: Any) -> Target:
    share, measure = parted(value)
    return Latency(value if share is None else share, measure)


_SHARED: dict[str, Callable[[Any], Target]] = {"macs": macs, "params": params, "keep": keep}
_COUNTED = (*_SHARED, "size", "peak_memory")
"""Targets that go together, and with a `budget`."""


def _budgets(given: Mapping[str, Any]) -> Target:
    """One target of all that is counted: a share alone, or a limit for each."""
    limits = [limit_given(name, value) for name, value in given.items() if name != "budget"]
    if len(given) == 1 and limits and limits[0].share and limits[0].name in _SHARED:
        return _SHARED[limits[0].name](limits[0].value)
    name = given.get("budget")
    return made([*(() if name is None else preset(name)), *limits], name)


_MADE: dict[str, Callable[[Any], Target]] = {
    "latency": _latency,
    "accuracy_drop": AccuracyDrop,
}


def one_target(given: Mapping[str, Any], spelled: Callable[[str], str] = str) -> Target | None:
    """The target that was given, or None; several that are counted make one.

    Args:
        given: Values by name, None where a target is not asked for; under "target", one of the user's own.
        spelled: From a name to how the user writes it, for the message.

    Raises:
        InputError: several targets that do not go together, something that is no number, or a share outside (0, 1].

    Example:
        >>> one_target({"macs": 0.5, "keep": None}).name, one_target({"macs": None})
        ('macs', None)
    """
    found = [(name, value) for name, value in given.items() if value is not None]
    if not found:
        return None
    counted = {name: value for name, value in found if name in (*_COUNTED, "budget")}
    if len(counted) == len(found):
        return _budgets(counted)
    if len(found) > 1:
        both = " and ".join(spelled(name) for name, _ in found)
        names = ", ".join(spelled(name) for name in (*_COUNTED, "budget", *_MADE))
        raise InputError(
            f"target: {both} are both given; give one of {names}, or several of what is counted."
        )
    name, value = found[0]
    if name == "target":
        if isinstance(value, type):
            raise InputError(f"target is {shown(value)}; give an object of it.")
        check_kind("target", value, Target, _OWN)
        own: Target = value
        return own
    return _MADE[name](value)


def no_target(method: str | None) -> InputError:
    """What to say where nothing says how much is to stay; `method` where it was named.

    Example:
        >>> str(no_target(None))[:46]
        'target: nothing says how much is to stay; give'
    """
    why = "nothing says how much is to stay" if method is None else f"'{method}' has no ratio of its own"
    return InputError(
        f"target: {why}; give the share that stays as macs, params, keep or latency, or a budget: size, peak_memory, "
        "budget or accuracy_drop."
    )


def bounds_for(
    target: Target | None, ranking: Ranking, round_to: RoundTo, layers: Mapping[str, float] | None
) -> Bounds:
    """What holds whatever the target, with "auto" rounding where it has a say in the counts.

    That is where a cost is to be met (`macs`, `params`, `size`, `peak_memory`, `budget`, `latency`) or an accuracy to
    be held. A share of the units (`keep`), a method's own ratio, a target of the user's own and the counts of a
    published procedure (`faithful`) are exact: they stay free. A number given as `round_to` holds for all.

    Args:
        target: What is asked for; None for the method's own ratio.
        ranking: Says whether the method is faithful.
        round_to: As it was given.
        layers: Exceptions, which "auto" does not round.

    Example:
        >>> ranking = Ranking(None, {}, "l1-norm")
        >>> bounds_for(macs(0.5), ranking, "auto", None).round_to, bounds_for(keep(0.5), ranking, "auto", None).round_to
        ('auto', 1)
    """
    units = isinstance(target, Counted) and target.by_group
    costs = isinstance(target, (Counted, Budgets, Latency, AccuracyDrop)) and not units
    exact = round_to == "auto" and (ranking.faithful or not costs)
    return Bounds(FREE if exact else round_to, layers)
