"""Repairs from the original's moments alone: no walk, and after `observe` no data. `weights` is in `combination`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.compensate.stand_in import StandIn, by_all, by_mean, by_nearest, merged
from secateurs.compensate.walk import Repaired
from secateurs.contracts import Group, Slot
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.layers.batch_norm import shift_
from secateurs.layers.linear_map import channel_columns, from_matrix, linear_map, matrix
from secateurs.statistics.moments import Moments
from secateurs.statistics.statistics import Statistics
from secateurs.statistics.units import key
from secateurs.surgery.plan import Plan

Kind = Literal["bias", "merge", "least-squares-once"]


def stand_in_(
    small: nn.Module,
    model: nn.Module,
    graph: Graph,
    plan: Plan,
    stats: Statistics,
    kind: Kind = "least-squares-once",
) -> Repaired:
    r"""Let the units that stay stand in for those that left, in place.

    `bias`: for their means. `merge`: each by the one most like it. `least-squares-once`: by the best combination
    of all that stay.

    Args:
        small: The network after removal; filled in place.
        model: The original; untouched.
        graph: Its structure.
        plan: What was removed.
        stats: From `observe` on the original.
        kind: Which of the three.

    Returns:
        The share of the removed units' variance that no stand-in explains, by consumer, and remarks.

    Raises:
        InputError: Statistics are of another network.

    Cost:
        O(k^3) for a consumer that keeps k units.

    References:
        [wang2022qsfm] (`merge`, a reading).
    """
    find = partial(_stand_ins, stats=stats, kind=kind)
    left, remarks = fill_(small, model, graph, plan, find)
    return Repaired(kind, left, stats.samples, remarks)


Find = Callable[[Group, Slot, Tensor, Tensor], StandIn | None]


def fill_(
    small: nn.Module, model: nn.Module, graph: Graph, plan: Plan, find: Find
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Give every consumer of removed units the weights with which it reads their stand-ins, in place.

    Args:
        small: The network after removal; filled in place.
        model: The original; untouched.
        graph: Its structure.
        plan: What was removed.
        find: From a group, one of its consumers, the removed and the kept units to their stand-ins; None where there
            are none.

    Returns:
        What stand-ins leave, by consumer, where they know it, and a remark on every layer that was left as it was.

    Cost:
        That of `find`, and O(weights).
    """
    left: dict[str, float] = {}
    remarks: list[str] = []
    cut = plan.steps[-1].slices if plan.steps else {}
    for group in graph.free:
        units = plan.kept.get(group.name)
        if units is None or len(units) == group.size:
            continue
        kept = torch.as_tensor(np.asarray(units, dtype=np.int64))
        gone = torch.as_tensor(np.setdiff1d(np.arange(group.size), np.asarray(units)))
        for slot in group.slots_as("consumer"):
            found = find(group, slot, gone, kept)
            norm = graph.norms.get(slot.tensor)
            if found is None or not _write_(small, model, slot, cut, found, gone, kept, norm):
                remarks.append(f"{slot.tensor}: its layer cannot be repaired this way; left as it was")
                continue
            if found.left is not None:
                left[slot.tensor.removesuffix(".weight")] = found.left
    return left, tuple(remarks)


def _stand_ins(
    group: Group, slot: Slot, gone: Tensor, kept: Tensor, stats: Statistics, kind: Kind
) -> StandIn | None:
    moments = stats.channels.get(key(group, slot))
    if moments is None:
        return None
    if moments.first.shape[1] != group.size:
        raise InputError(
            f"statistics: '{key(group, slot)}' has {moments.first.shape[1]} units there and {group.size} in this "
            "network; observe the network that is pruned"
        )
    mean, covariance = moments.mean()[0].cpu(), moments.covariance()[0].cpu()
    if kind == "bias":
        mix, constant = by_mean(mean, gone, kept)
    elif kind == "merge":
        mix, constant = by_nearest(mean, covariance, gone, kept)
    else:
        mix, constant = by_all(mean, moments.gram()[0].cpu(), gone, kept)
    return StandIn(mix, constant, _unexplained(moments, mix, gone, kept))


def _unexplained(moments: Moments, mix: Tensor, gone: Tensor, kept: Tensor) -> float:
    covariance = moments.covariance()[0].cpu()
    own = covariance.diagonal()[gone]
    cross, inner = covariance[gone][:, kept], covariance[kept][:, kept]
    rest = own - 2 * (mix * cross).sum(1) + ((mix @ inner) * mix).sum(1)
    return float(rest.clamp_min(0).sum() / own.sum().clamp_min(1e-300))


@torch.no_grad()
def _write_(
    small: nn.Module,
    model: nn.Module,
    slot: Slot,
    cut: Mapping[str, Mapping[int, tuple[int, ...]]],
    found: StandIn,
    gone: Tensor,
    kept: Tensor,
    norm: str | None,
) -> bool:
    """Put the merged weights of one group's units into one reader; False where its form does not allow it."""
    name = slot.tensor.removesuffix(".weight")
    if not slot.tensor.endswith(".weight") or name not in dict(model.named_modules()):
        return False
    before, after = model.get_submodule(name), small.get_submodule(name)
    form, new = linear_map(before), linear_map(after)
    columns = channel_columns(before, slot.positions, slot.axis)
    ins, outs = (0, 1) if form is not None and form.kind == "transposed" else (1, 0)
    kept_outs = cut.get(slot.tensor, {}).get(outs)
    if form is None or new is None or columns is None or (form.groups > 1 and kept_outs is not None):
        return False
    old = matrix(before).double().cpu()
    rows = old if kept_outs is None else old[:, list(kept_outs)]
    by_unit = rows[:, :, torch.as_tensor(columns)].flatten(0, 1)  # (g o, n, t)
    weights, constant = merged(by_unit, found.mix, found.constant, gone, kept)
    stay = cut.get(slot.tensor, {}).get(ins, tuple(range(form.inputs * (form.groups if ins == 0 else 1))))
    place = {position: i for i, position in enumerate(stay)}
    moved = np.vectorize(place.__getitem__)(slot.positions[kept.numpy()])
    target = channel_columns(after, moved, slot.axis)
    assert target is not None
    values = matrix(after).double().cpu()
    values[:, :, torch.as_tensor(target)] = weights.reshape(*values.shape[:2], *weights.shape[1:])
    weight = after.get_parameter("weight")
    weight.copy_(from_matrix(after, values).to(weight))
    if bool((constant != 0).any()):
        shift_(small, name, constant, norm)
    return True
