"""Repairs by name, and what every repair needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from secateurs.checks import check_callable, check_kind, check_model, shown
from secateurs.compensate.base import Removal, Repair, name_of
from secateurs.compensate.combination import combined_
from secateurs.compensate.one_shot import Kind, stand_in_
from secateurs.compensate.pairs import MergePairs
from secateurs.compensate.reconstruct import reconstruct_, trained_on
from secateurs.compensate.sequential import least_squares_
from secateurs.compensate.walk import Repaired
from secateurs.contracts import Loader
from secateurs.data.batches import joined
from secateurs.data.calibration import kept_apart
from secateurs.data.own import Held
from secateurs.errors import InputError
from secateurs.layers.tensors import named_tensors
from secateurs.statistics.units import observe


@dataclass(frozen=True)
class Nothing:
    """No repair: the network stays as removal left it."""

    name: str = "none"
    needs_data: bool = False

    def __call__(self, small: nn.Module, removal: Removal) -> Repaired:
        """Leave `small` alone."""
        return Repaired(self.name)


@dataclass(frozen=True)
class OneShot:
    """Every consumer at once, from the original's statistics; see `stand_in_`."""

    name: Kind
    needs_data: bool = True

    def __call__(self, small: nn.Module, removal: Removal) -> Repaired:
        """Repair `small` in place."""
        graph, plan = removal.graph, removal.plan
        stats = observe(
            removal.model, graph.free, removal.data, limit=removal.limit, progress=removal.progress
        )
        done = stand_in_(small, removal.model, graph, plan, stats, self.name)
        return replace(done, remarks=(*stats.warnings, *done.remarks))


@dataclass(frozen=True)
class Combine:
    """Every consumer at once, from the original's weights, as a search scores its candidates; see `combined_`."""

    name: str = "weights"
    needs_data: bool = False

    def __call__(self, small: nn.Module, removal: Removal) -> Repaired:
        """Repair `small` in place."""
        keep = {g: np.array(units, dtype=np.int64) for g, units in removal.plan.kept.items()}
        return combined_(small, removal.graph, keep, removal.combination)


@dataclass(frozen=True)
class LeastSquares:
    """Layer after layer, each on the values that the repaired layers before it give; see `least_squares_`."""

    name: str = "least-squares"
    needs_data: bool = True

    def __call__(self, small: nn.Module, removal: Removal) -> Repaired:
        """Repair `small` in place."""
        return least_squares_(
            small,
            removal.model,
            removal.plan,
            removal.data,
            effort=removal.effort,
            limit=removal.limit,
            seed=removal.seed,
            progress=removal.progress,
            exports=removal.exports,
        )


@dataclass(frozen=True)
class Reconstruct:
    """`LeastSquares`, and then label-free gradient steps on the whole network; see `reconstruct_`."""

    name: str = "reconstruct"
    needs_data: bool = True

    def __call__(self, small: nn.Module, removal: Removal) -> Repaired:
        """Repair `small` in place.

        Raises:
            InputError: A single sample, of which none is left to check on.
        """
        dealt = _tenth_last(removal.data, removal.limit)
        fitted = trained_on(len(dealt))
        if not fitted:
            raise InputError("data: one sample is too few to train on and to check; give a hundred at least.")
        done = LeastSquares()(small, replace(removal, data=dealt, limit=fitted))
        more = reconstruct_(
            small,
            removal.model,
            removal.plan,
            dealt,
            limit=removal.limit,
            seed=removal.seed,
            progress=removal.progress,
            exports=removal.exports,
        )
        return replace(more, remarks=(*done.remarks, *more.remarks))


_NAMED: dict[str, Repair] = {
    "none": Nothing(),
    "bias": OneShot("bias"),
    "merge": OneShot("merge"),
    "merge-pairs": MergePairs("merge-pairs", needs_data=True),
    "merge-equal": MergePairs("merge-equal", needs_data=False),
    "weights": Combine(),
    "least-squares-once": OneShot("least-squares-once"),
    "least-squares": LeastSquares(),
    "reconstruct": Reconstruct(),
}


def names() -> tuple[str, ...]:
    """All names.

    Example:
        >>> names()[:4]
        ('none', 'bias', 'merge', 'merge-pairs')
    """
    return tuple(_NAMED)


def get(repair: str | Repair) -> Repair:
    """The repair of that name; an own one is returned as it is.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> get("least-squares")
        LeastSquares(name='least-squares', needs_data=True)
    """
    if not isinstance(repair, str):
        check_callable(
            "compensate",
            repair,
            "a name from secateurs.compensate.names(), or a function of the network and the Removal",
        )
        return repair
    if repair not in _NAMED:
        raise InputError(f"compensate: there is no '{repair}'; the repairs are {', '.join(names())}.")
    return _NAMED[repair]


def check(repair: str | Repair, data: Loader | None) -> None:
    """Raise an InputError where there is no such repair, or it needs data and there are none.

    Example:
        >>> check("none", None)
    """
    if data is None and getattr(get(repair), "needs_data", False):
        raise InputError(
            f"data: the repair '{name_of(repair)}' looks at data and got none; give a few hundred unlabelled samples "
            "at least, or use 'weights' or 'none'."
        )


def scored_as(repair: str | Repair) -> Literal["none", "weights", "maps"]:
    """What a search repairs its candidates with, by the repair of the result.

    Example:
        >>> scored_as("none"), scored_as("least-squares")
        ('none', 'maps')
    """
    name = name_of(repair)
    return "none" if name == "none" else "weights" if name == "weights" else "maps"


def repair_(repair: str | Repair, small: nn.Module, removal: Removal) -> Repaired:
    """Repair a pruned network in place, by the name of the repair or by one of the user's own.

    Args:
        repair: A name, or a function of the pruned network and the `Removal`.
        small: The pruned network, which is changed.
        removal: What was removed from which network, and the data.

    Returns:
        What was done, with remarks.

    Raises:
        InputError: No such repair, or no data where it needs some.

    Example:
        >>> from secateurs.graph import trace
        >>> from secateurs.surgery.plan import Plan
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> repair_("none", net, Removal(net, trace(net, torch.zeros(1, 2)), Plan({}, {}, ()))).method
        'none'
    """
    check_model(small, "small")
    check_kind("removal", removal, Removal, "a secateurs.compensate.Removal")
    check(repair, removal.data)
    before = _forms(small)
    done: object = get(repair)(small, removal)
    if done is not None and not isinstance(done, Repaired):
        raise InputError(
            f"compensate: '{name_of(repair)}' returned {shown(done)}; change the network in place and return nothing, "
            "or a secateurs.compensate.Repaired."
        )
    _check_repaired(name_of(repair), before, small)
    return done or Repaired(name_of(repair))


_Form = tuple[tuple[int, ...], torch.dtype]


def _forms(small: nn.Module) -> dict[str, _Form]:
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in named_tensors(small)}


def _check_repaired(repair: str, before: dict[str, _Form], small: nn.Module) -> None:
    """A repair changes numbers and may add biases; anything else would be lost where its weights are taken over.

    Raises:
        InputError: A tensor is missing, of another shape or type, new and no bias, or not finite.
    """
    after = _forms(small)
    for name in (*before, *after):
        old, new = before.get(name), after.get(name)
        if old != new and not (
            old is None and name.endswith("bias") and new is not None and len(new[0]) == 1
        ):
            raise InputError(
                f"compensate: '{repair}' left '{name}' as {_said(new)}, which was {_said(old)}; a repair changes "
                "numbers in place, and may add biases."
            )
    for name, tensor in named_tensors(small):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"compensate: '{repair}' left NaN or infinite values in '{name}'.")


def _said(form: _Form | None) -> str:
    return "missing" if form is None else f"{list(form[0])} of {str(form[1]).removeprefix('torch.')}"


def _tenth_last(data: Loader, limit: int) -> Held:
    """The samples without labels, a tenth of them at the end, where `reconstruct_` checks."""
    whole = joined(data, limit)
    last = kept_apart(len(whole[0]), len(whole[0]) // 10)
    order = torch.cat([(~last).nonzero(), last.nonzero()]).flatten()
    return Held(tuple(x[order] for x in whole), None)
