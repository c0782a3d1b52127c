"""Repairs by the names the command line knows."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import nn

from secateurs.compensate.combination import combine_
from secateurs.compensate.one_shot import Kind, stand_in_
from secateurs.compensate.reconstruct import reconstruct_, trained_on
from secateurs.compensate.sequential import least_squares_
from secateurs.compensate.walk import Repair
from secateurs.contracts import Loader, Progress
from secateurs.data.batches import joined
from secateurs.data.own import Held
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.observe.units import observe
from secateurs.surgery.plan import Plan

_ONE_SHOT = ("bias", "merge", "weights", "least-squares-once")
_WALKING = ("least-squares", "reconstruct")
_WITHOUT_DATA = ("none", "weights")


def names() -> tuple[str, ...]:
    """All names.

    Example:
        >>> names()
        ('none', 'bias', 'merge', 'weights', 'least-squares-once', 'least-squares', 'reconstruct')
    """
    return ("none", *_ONE_SHOT, *_WALKING)


def check(name: str, data: Loader | None) -> None:
    """Raise an InputError where there is no such repair, or it needs data and there are none.

    Example:
        >>> check("none", None)
    """
    if name not in names():
        raise InputError(f"compensate: there is no '{name}'; the repairs are {', '.join(names())}.")
    if data is None and name not in _WITHOUT_DATA:
        raise InputError(
            f"data: the repair '{name}' looks at data and got none; give a few hundred unlabelled samples at least, "
            "or use 'weights' or 'none'."
        )


def repair_(
    name: str,
    small: nn.Module,
    model: nn.Module,
    graph: Graph,
    plan: Plan,
    data: Loader | None,
    *,
    limit: int = 3000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Repair:
    """Repair a pruned network in place, by the name of the repair; see `stand_in_`, `least_squares_`, `reconstruct_`.

    `reconstruct` comes after `least-squares`.

    Raises:
        InputError: No such repair, or no data where it needs some.

    Example:
        >>> from secateurs.graph import trace
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> repair_("none", net, net, trace(net, torch.zeros(1, 2)), Plan({}, {}, ()), None).method
        'none'
    """
    check(name, data)
    if name == "none":
        return Repair("none")
    if name in _ONE_SHOT:
        stats = None
        if name == "weights" and graph.frames:
            keep = {g: np.array(units, dtype=np.int64) for g, units in plan.kept.items()}
            combine_(small, graph, keep)
            return Repair("weights")
        if name != "weights":
            stats = observe(model, graph.free, data, limit=limit, progress=progress)
        done = stand_in_(small, model, graph, plan, stats, cast(Kind, name))
        return done if stats is None else replace(done, remarks=(*stats.warnings, *done.remarks))
    if name == "least-squares":
        return least_squares_(small, model, plan, data, limit=limit, seed=seed, progress=progress)
    dealt = _tenth_last(data, limit)
    fitted = trained_on(len(dealt))
    if not fitted:
        raise InputError("data: one sample is too few to train on and to check; give a hundred at least.")
    done = least_squares_(small, model, plan, dealt, limit=fitted, seed=seed, progress=progress)
    more = reconstruct_(small, model, plan, dealt, limit=limit, seed=seed, progress=progress)
    return replace(more, remarks=(*done.remarks, *more.remarks))


def _tenth_last(data: Loader, limit: int) -> Held:
    """The samples without labels, every tenth at the end, where `reconstruct_` checks: data may be sorted by class."""
    whole = joined(data, limit)
    place = torch.arange(len(whole[0]))
    order = torch.cat([place[place % 10 != 9], place[place % 10 == 9]])
    return Held(tuple(x[order] for x in whole), None)
