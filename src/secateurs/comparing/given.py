"""What `compare` is given, checked before anything is run: one sentence for every mistake."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from secateurs import compensate as repairs_
from secateurs import methods as published
from secateurs.arguments import check_config
from secateurs.checks import check_kind, check_seed, check_whole, shown
from secateurs.comparing.cells import BUDGETS, draws
from secateurs.compensate import name_of
from secateurs.config import GOALS, PruneConfig
from secateurs.errors import InputError
from secateurs.methods import Method
from secateurs.targets.amounts import limit_given

_PER_CENT = 100
"""Who asks for no more than so many may have meant per cent."""
OF_THE_GRID = ("method", *GOALS, "target", "compensate", "seed")
"""Settings that a comparison varies."""


def listed(name: str, value: Any) -> list[Any]:
    """Several things, of which one may stand alone.

    Raises:
        InputError: There is none.

    Example:
        >>> listed("methods", "l1-norm"), listed("methods", ("l1-norm", "l2-norm"))
        (['l1-norm'], ['l1-norm', 'l2-norm'])
    """
    found = list(value) if isinstance(value, (list, tuple)) else [value]
    if not found:
        raise InputError(f"{name} is empty; give at least one.")
    return found


def checked_methods(methods: Any, against: Any) -> tuple[list[str | Method], tuple[str, ...]]:
    """Methods as names or objects, each once, baselines among them; and the baselines' names.

    Raises:
        InputError: No such method, or two of one name.
    """
    found: dict[str, str | Method] = {}
    for given in listed("methods", methods):
        made = published.get(given)
        if made.name in found and published.get(found[made.name]) != made:
            raise InputError(
                f"methods: two are called {shown(made.name)}; give each a name, as in "
                "secateurs.methods.of_function(score, 'mine')."
            )
        found[made.name] = made.name if isinstance(given, str) else made
    names = tuple(published.get(one).name for one in (against if against is not None else ()))
    for name, given in zip(names, against or (), strict=True):
        found.setdefault(name, given)
    return list(found.values()), names


def checked_budgets(budgets: Any) -> dict[str, list[float]]:
    """Shares that stay, or amounts, by the name of the target.

    Raises:
        InputError: Another target, or a value that is neither.

    Example:
        >>> checked_budgets({"macs": [0.7, "30M"]})
        {'macs': [0.7, 30000000.0]}
    """
    check_kind("budgets", budgets, Mapping, "shares that stay by target, as in {'macs': [0.7, 0.5]}")
    found: dict[str, list[float]] = {}
    for name, shares in budgets.items():
        if name not in BUDGETS:
            raise InputError(
                f"budgets: {shown(name)} is none; a comparison counts: give {', '.join(BUDGETS)}, for what is measured "
                "differs from run to run."
            )
        found[name] = list(dict.fromkeys(_budget(name, one) for one in listed(f"budgets: {name}", shares)))
    if not found:
        raise InputError("budgets is empty; give at least one, as in {'macs': [0.5]}.")
    return found


def _budget(name: str, given: Any) -> float:
    found = limit_given(name, given)
    if not found.share and found.value <= _PER_CENT:
        raise InputError(
            f"{name} is {found.value:g}; give the share that stays, in (0, 1], or an amount such as 30M."
        )
    return found.value if found.share else float(math.floor(found.value))  # what is counted is whole


def checked_repairs(repairs: Any) -> list[Any]:
    """Repairs by name or as functions, each once.

    Raises:
        InputError: No such repair, or two of one name.
    """
    found: dict[str, Any] = {}
    for one in listed("repairs", repairs):
        repairs_.get(one)
        if name_of(one) in found and not isinstance(one, str):
            raise InputError(f"repairs: two are called {shown(name_of(one))}; give each a name of its own.")
        found[name_of(one)] = one
    return list(found.values())


def checked_seeds(seeds: Any, draws_: Any, methods: Sequence[str | Method]) -> dict[str, list[int]]:
    """The seeds of every method: those given, and for `random` so many draws as are asked for.

    Raises:
        InputError: No seeds.

    Example:
        >>> checked_seeds(2, 4, ["random", "moments"])
        {'random': [0, 1, 2, 3], 'moments': [0, 1]}
    """
    check_whole("draws", draws_)
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        check_whole("seeds", seeds)
        seeds = range(int(seeds))
    several = [
        check_seed(seed, "seeds") for seed in (seeds if isinstance(seeds, range) else listed("seeds", seeds))
    ]
    own = list(dict.fromkeys(int(seed) for seed in several))
    more = [*own, *(seed for seed in range(len(own) + draws_) if seed not in own)]
    names = {published.get(one).name: published.get(one) for one in methods}
    return {name: more[: max(draws_, len(own))] if name == "random" else own for name in names}


def drawing(methods: Sequence[str | Method]) -> list[str]:
    """Methods whose orders depend on the seed.

    Example:
        >>> drawing(["random", "l1-norm"])
        ['random']
    """
    made = [published.get(one) for one in methods]
    return [one.name for one in made if draws(one)]


def checked_common(config: PruneConfig | None) -> PruneConfig:
    """The settings that all cells share.

    Raises:
        InputError: One of those that a comparison varies is set, or one is not what it has to be.
    """
    found = config if config is not None else PruneConfig()
    check_kind("config", found, PruneConfig, "a secateurs.PruneConfig")
    usual = {one.name: one.default for one in dataclasses.fields(PruneConfig)}
    varied = next((name for name in OF_THE_GRID if getattr(found, name) != usual[name]), None)
    if varied is not None:
        raise InputError(
            f"config: {varied} is what a comparison varies; give methods, budgets, repairs and seeds instead."
        )
    check_config(found)
    return found
