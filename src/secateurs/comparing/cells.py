"""The cells of a comparison: methods x budgets x repairs x seeds, each with the key of what it depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateurs import allocate as allocations
from secateurs import compensate as repairs
from secateurs import methods as published
from secateurs.allocate import Search, Sensitivity
from secateurs.comparing.fingerprint import digest, of_code
from secateurs.comparing.records import Scored
from secateurs.compensate import name_of
from secateurs.config import PruneConfig
from secateurs.methods import Method
from secateurs.methods.stages import Composition, FromData, FromSurvey, Seed
from secateurs.recipe import chosen

BUDGETS = ("macs", "params", "keep")
"""The targets that are counted: what is measured while planning differs from run to run and from machine to machine."""
_DRAWING_REPAIRS = ("least-squares", "reconstruct")


@dataclass(frozen=True)
class Cell:
    """One network to make and to score.

    Attributes:
        key: The hash of all that its numbers depend on.
        ranking: The hash of what its ranking depends on, the same for all cells that share it.
        cut: What it shares with the cells of other repairs and seeds: the removal.
        config: The settings of the run that it is.
        ranked_by: The settings of its ranking and its removal.
        method: The name.
        allocate: The name.
        budget: The name of the target, with `share`.
        share: What stays, a share; above 1 the most itself.
        repair: The name.
        seed: The first of the seeds where nothing of it is drawn.
        looks: Whether the ranking or the removal looks at the data.
        needs_data: Whether anything does; what does not gets none.
    """

    key: str
    ranking: str
    cut: str
    config: PruneConfig
    ranked_by: PruneConfig
    method: str
    allocate: str
    budget: str
    share: float
    repair: str
    seed: int
    looks: bool
    needs_data: bool

    def row(self, reason: str | None = None) -> Scored:
        """What was asked, without numbers; with the reason where it could not be done."""
        asked = (self.method, self.allocate, self.budget, self.share, self.repair, self.seed)
        return Scored(self.key, *asked, reason)


@dataclass(frozen=True)
class Inputs:
    """The hashes of what all cells are given, and the versions of what computes them."""

    network: str
    data: str
    test: str
    versions: Mapping[str, str]


def cells(
    common: PruneConfig,
    methods: Sequence[Any],
    budgets: Mapping[str, Sequence[float]],
    repairs_: Sequence[Any],
    seeds: Mapping[str, Sequence[int]],
    inputs: Inputs,
) -> Iterator[Cell]:
    """All cells, each once, those of one removal beside each other.

    Args:
        common: The settings that all of them share.
        methods: Names or `Method`s.
        budgets: Shares that stay, or amounts, by the name of the target.
        repairs_: Names or functions.
        seeds: By the name of a method; where nothing of a cell is drawn, it is one cell for all of them.
        inputs: What they are given.
    """
    for method in methods:
        name = published.get(method).name
        for budget, shares in budgets.items():
            for share in shares:
                known: set[str] = set()
                found = [
                    _cell(
                        common.changed(method=method, compensate=repair, seed=seed, **{budget: share}),
                        seeds[name][0],
                        inputs,
                    )
                    for repair in repairs_
                    for seed in seeds[name]
                ]
                for cell in sorted(found, key=lambda cell: seeds[name].index(cell.ranked_by.seed)):
                    if cell.key not in known:
                        known.add(cell.key)
                        yield cell


def _cell(config: PruneConfig, first: int, inputs: Inputs) -> Cell:
    method, allocation, repair = chosen(config, with_data=inputs.data != "none")
    allocate = allocations.get(allocation)
    mended = repairs.get(repair)
    searched, measured = isinstance(allocate, Search), isinstance(allocate, Sensitivity)
    ranks_by_draws = draws(method) or searched or measured
    drawn = ranks_by_draws or _draws_while_repairing(mended)
    looks = method.needs == "data" or searched or measured
    config = dataclasses.replace(config, seed=config.seed if drawn else first)
    # A search takes the repair into account; no other removal depends on it.
    ranked_by = dataclasses.replace(
        config,
        recalibrate=False,
        compensate=config.compensate if searched else "none",
        seed=config.seed if ranks_by_draws else first,
    )
    budget = next(name for name in BUDGETS if getattr(config, name) is not None)
    needs = looks or getattr(mended, "needs_data", True) or config.recalibrate
    given = {"network": inputs.network, "versions": dict(inputs.versions)}
    order = {**given, **_said(ranked_by, inputs, looks), **dict.fromkeys((*BUDGETS, "compensate"))}
    removal = {**given, **_said(ranked_by, inputs, looks)}
    whole = {**given, "test": inputs.test, **_said(config, inputs, needs)}
    return Cell(
        digest(whole),
        digest(order),
        digest(removal),
        config,
        ranked_by,
        method.name,
        name_of(allocation),
        budget,
        float(getattr(config, budget)),
        name_of(repair),
        int(config.seed),
        looks,
        needs,
    )


def _said(config: PruneConfig, inputs: Inputs, looks: bool) -> dict[str, Any]:
    """Settings as plain values; how many samples may be looked at counts only where somebody looks."""
    found = {one.name: getattr(config, one.name) for one in dataclasses.fields(PruneConfig)}
    own = {name: of_code(value) for name, value in found.items()}
    method = published.get(config.method if config.method is not None else "l1-norm")
    own["method"] = [method.name, of_code(method.order)]
    return {**own, "calibrate": found["calibrate"] if looks else None, "data": inputs.data if looks else None}


def draws(method: Method) -> bool:
    """Whether the orders of a method depend on the seed.

    Example:
        >>> draws(published.get("random")), draws(published.get("l1-norm"))
        (True, False)
    """
    if isinstance(method.order, FromSurvey):
        return True  # of output positions, where there are many
    return not isinstance(method.order, (Composition, FromData)) or _holds_seed(method.order)


def _holds_seed(thing: Any) -> bool:
    if isinstance(thing, Seed):
        return True
    if isinstance(thing, tuple):
        return any(map(_holds_seed, thing))
    plain = isinstance(thing, type) or not dataclasses.is_dataclass(thing)
    fields = () if plain else dataclasses.fields(thing)
    return any(_holds_seed(getattr(thing, field.name)) for field in fields)


def _draws_while_repairing(repair: Any) -> bool:
    """Whether a repair depends on the seed; what is not of the library may."""
    name = name_of(repair)
    return name in _DRAWING_REPAIRS or name not in repairs.names()
