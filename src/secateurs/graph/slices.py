"""From units that stay to positions that stay on every axis of every stored tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from secateurs.contracts import Group, IntArray

Keep = Mapping[str, IntArray]
Shapes = Mapping[str, tuple[int, ...]]


def removed_positions(
    groups: Iterable[Group], keep: Keep, role: str | None = None
) -> dict[str, dict[int, IntArray]]:
    """Positions that leave, by tensor and axis; only the slots of one role if asked."""
    gone: dict[str, dict[int, list[IntArray]]] = {}
    for group in groups:
        kept = keep.get(group.name)
        if kept is None or len(kept) == group.size:
            continue
        mask = np.ones(group.size, dtype=bool)
        mask[np.asarray(kept)] = False
        for slot in group.slots:
            if role is None or slot.role == role:
                gone.setdefault(slot.tensor, {}).setdefault(slot.axis, []).append(
                    slot.positions[mask].ravel()
                )
    return {t: {a: np.unique(np.concatenate(p)) for a, p in axes.items()} for t, axes in gone.items()}


def kept_positions(groups: Iterable[Group], keep: Keep, shapes: Shapes) -> dict[str, dict[int, IntArray]]:
    """Positions that stay, by tensor and axis, for the tensors that lose any."""
    return {
        tensor: {axis: _others(positions, shapes[tensor][axis]) for axis, positions in axes.items()}
        for tensor, axes in removed_positions(groups, keep).items()
    }


def _others(positions: IntArray, length: int) -> IntArray:
    """The numbers below `length` that are not among the positions, ascending."""
    stays = np.ones(length, dtype=bool)
    stays[positions] = False
    return np.flatnonzero(stays)
