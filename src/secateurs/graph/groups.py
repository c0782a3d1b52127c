"""From labels to groups: connected atoms are units, units with the same slots are a group."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from secateurs.contracts import Group, IntArray, Role, Slot
from secateurs.graph.labels import Labels
from secateurs.network.operations import kind_of

_PADDING = "meets padding of fixed width"


@dataclass(frozen=True)
class Units:
    """What becomes of every atom: its unit (`of`), and the unit's group and place in it (-1: none)."""

    of: IntArray
    group: IntArray
    place: IntArray
    groups: tuple[Group, ...]

    def groups_of(self, axis: object) -> set[int]:
        """Indices of the groups that the atoms of an axis belong to."""
        if not isinstance(axis, np.ndarray):
            return set()
        found = np.unique(self.group[self.of[axis[axis >= 0]]])
        return {int(g) for g in found if g >= 0}


def make_groups(labels: Labels) -> Units:
    """Resolve all unions and locks. Cost: linear in the number of atoms and unions."""
    _lock_padding(labels)
    if not labels.count:  # nothing that the model holds was read
        none = np.zeros(0, dtype=np.int64)
        return Units(none, none, none, ())
    unit_of = _components(labels)
    count = int(unit_of.max(initial=-1)) + 1
    reason = np.full(count, -1)
    for i in range(len(labels.locks) - 1, -1, -1):
        atoms = labels.locks[i][0]
        reason[unit_of[atoms[atoms >= 0]]] = i
    slot_of = np.empty(labels.count, dtype=np.int64)
    for i, (_, _, first, length) in enumerate(labels.slots):
        slot_of[first : first + length] = i
    makes, reads = marked(labels.producers, labels.count), marked(labels.consumers, labels.count)
    for a, b in reversed(labels.twins):
        both = (a >= 0) & (b >= 0)
        reads[a[both]] |= reads[b[both]]
        reads[b[both]] |= reads[a[both]]
    seat = _first_seen(labels)
    made = np.zeros(count, dtype=bool)
    made[unit_of[makes]] = True
    key = _signatures(unit_of, slot_of, count, len(labels.slots))
    atoms_by_unit = np.argsort(unit_of, kind="stable")
    bounds = np.searchsorted(unit_of[atoms_by_unit], np.arange(count + 1))
    first_seat = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first_seat, unit_of, seat)
    members: dict[tuple[int, str], list[int]] = defaultdict(list)
    for unit in np.flatnonzero(made)[np.argsort(first_seat[made], kind="stable")]:
        why = labels.locks[reason[unit]][1] if reason[unit] >= 0 else ""
        members[(int(key[unit]), why)].append(int(unit))
    groups: list[Group] = []
    group_of_unit, place = np.full(count, -1), np.full(count, -1)
    names: dict[str, int] = defaultdict(int)
    through = _through(labels, unit_of)
    for (_, why), units in members.items():
        own = [atoms_by_unit[bounds[u] : bounds[u + 1]] for u in units]
        group_of_unit[units], place[units] = len(groups), np.arange(len(units))
        slots = _slots(labels, own, slot_of, makes, reads)
        name = _name(slots, names)
        locked = why or (None if len(units) > 1 else "is a single unit")
        groups.append(Group(name, len(units), slots, locked, through.get(units[0], ())))
    return Units(unit_of, group_of_unit, place, tuple(groups))


def _lock_padding(labels: Labels) -> None:
    for a, b, where in labels.unions:
        if (a < 0).any() or (b < 0).any():
            reason = f"{_PADDING} in {where}" if where else _PADDING
            labels.locks.append((b[(a < 0) & (b >= 0)], reason))
            labels.locks.append((a[(b < 0) & (a >= 0)], reason))


def _components(labels: Labels) -> IntArray:
    if not labels.unions:
        return np.arange(labels.count)
    a = np.concatenate([u[0] for u in labels.unions])
    b = np.concatenate([u[1] for u in labels.unions])
    both = (a >= 0) & (b >= 0)
    edges = coo_matrix(
        (np.ones(int(both.sum()), dtype=np.int8), (a[both], b[both])), shape=(labels.count,) * 2
    )
    found: IntArray = connected_components(edges, directed=False)[1].astype(np.int64)
    return found


def marked(arrays: list[IntArray], count: int) -> np.ndarray:
    """Which of `count` atoms lie on any of the arrays."""
    mask = np.zeros(count, dtype=bool)
    for array in arrays:
        mask[array[array >= 0]] = True
    return mask


def _first_seen(labels: Labels) -> IntArray:
    """When, in the order of the forward pass, an atom was first made by a producer."""
    seat = np.full(labels.count, np.iinfo(np.int64).max)
    place = 0
    for array in labels.producers:
        atoms = array[array >= 0]
        seat[atoms] = np.minimum(seat[atoms], place + np.arange(len(atoms)))
        place += len(atoms)
    return seat


def _signatures(unit_of: IntArray, slot_of: IntArray, count: int, slots: int) -> IntArray:
    """Equal numbers for units that lie, equally often, on the same axes."""
    pairs, times = np.unique(unit_of * max(1, slots) + slot_of, return_counts=True)
    rng = np.random.default_rng(0)
    words = rng.integers(1, 2**62, size=(max(1, slots), 64), dtype=np.uint64)
    hashed = words[pairs % max(1, slots), times % 64] * (times.astype(np.uint64) | np.uint64(1))
    total = np.zeros(count, dtype=np.uint64)
    np.add.at(total, pairs // max(1, slots), hashed)
    return total.view(np.int64)


def _slots(
    labels: Labels, atoms: list[IntArray], slot_of: IntArray, makes: np.ndarray, reads: np.ndarray
) -> tuple[Slot, ...]:
    """One entry per axis and role; row i of the positions belongs to unit i."""
    table = np.stack([a[np.lexsort((a, slot_of[a]))] for a in atoms])
    owner = slot_of[table[0]]
    slots: list[Slot] = []
    for index in dict.fromkeys(owner.tolist()):
        tensor, axis, first, _ = labels.slots[index]
        columns = table[:, owner == index]
        roles: list[Role] = []
        if makes[columns].any():
            roles.append("producer")
        if reads[columns].any():
            roles.append("consumer")
        slots.extend(Slot(tensor, axis, columns - first, role) for role in roles or ["carrier"])
    return tuple(slots)


def _name(slots: tuple[Slot, ...], names: dict[str, int]) -> str:
    tensor = next(s.tensor for s in slots if s.role == "producer")
    name = tensor.rpartition(".")[0] or tensor
    name = name.split(".parametrizations")[0]
    names[name] += 1
    return name if names[name] == 1 else f"{name}#{names[name]}"


def _through(labels: Labels, unit_of: IntArray) -> dict[int, tuple[str, ...]]:
    """The operations that couple each unit, in order, once each."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for a, _, where in labels.unions:
        name = where.partition(" ")[0]
        if where and kind_of(name) not in ("layer", "product", "normalisation"):
            atoms = a[a >= 0]
            if len(atoms):
                found[int(unit_of[atoms[0]])][where] = None
                found[int(unit_of[atoms[-1]])][where] = None
    return {unit: tuple(places) for unit, places in found.items()}
