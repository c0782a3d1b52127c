"""The units of a group that its consumers cannot tell from nothing, from a constant, or from another unit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from secateurs.contracts import Redundant, Slot
from secateurs.layers.group_weights import GroupView
from secateurs.layers.types import layer_type


@torch.no_grad()
def redundant(view: GroupView) -> Redundant:
    """The units of a group that are unread, constant or copies of others, by their stored tensors; see `Redundant`.

    Constant are units whose every producer is silent: its filters are zero, or the batch norm that alone reads it
    multiplies by zero. Copies agree bit for bit in every tensor that makes or carries the units (filters, biases,
    batch-norm entries, depthwise filters), and read the same channels where a layer is grouped. A multiple of a
    filter is no copy.

    Args:
        view: A group of a model.

    Returns:
        Each unit at most once. Nothing for a group that no stored tensor reads: its channels meet in products, where
        zeros and copies have a say. Of equal units the first is no copy.

    Cost:
        O(size of all tensors of the group).

    Example:
        >>> from torch import nn
        >>> import numpy as np
        >>> from secateurs.contracts import Group
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]))
        >>> _ = net[0].bias.data.copy_(torch.tensor([3.0, 4.0, 4.0, 5.0]))
        >>> at = np.arange(4)[:, None]
        >>> slots = (Slot("0.weight", 0, at, "producer"), Slot("0.bias", 0, at, "producer"))
        >>> redundant(GroupView(net, Group("0", 4, (*slots, Slot("1.weight", 1, at, "consumer")))))
        Redundant(unread=(), constant=(0,), copies=(2,), twins=(1,))
    """
    group, consumers = view.group, view.group.slots_as("consumer")
    if not consumers:
        return Redundant()
    unread = _all(_silent(view, slot) for slot in consumers)
    weights = [slot for slot in group.slots_as("producer") if view.tensor(slot).dim() > 1]
    constant = _all(_silent(view, slot) | _unscaled(view, i) for i, slot in enumerate(weights)) & ~unread
    twins = _twins(view, _indices(~(unread | constant)))
    return Redundant(_indices(unread), _indices(constant), tuple(twins), tuple(twins.values()))


def _twins(view: GroupView, units: tuple[int, ...]) -> dict[int, int]:
    """Which of some units equal one of them that comes before, and which one."""
    slots = (*view.group.slots_as("producer"), *view.group.slots_as("carrier"))
    if not all(_is_known(view, slot) for slot in view.group.slots_as("producer")):
        return {}
    digests = [hashlib.blake2b(digest_size=16) for _ in range(view.group.size)]
    for slot in slots:
        for digest, row in zip(digests, _bytes(view, slot), strict=True):
            digest.update(row)
    first: dict[bytes, int] = {}
    found = {unit: first.setdefault(digests[unit].digest(), unit) for unit in units}
    return {unit: twin for unit, twin in found.items() if unit != twin}


def _bytes(view: GroupView, slot: Slot) -> Iterator[bytes]:
    """What a slot holds of each unit, and which part of a grouped layer's input, or of a norm, that belongs to."""
    rows = (_rows(view, slot) + 0.0).contiguous().cpu()  # -0.0 is 0.0
    parts = slot.positions // _length_of_part(view, slot)
    for row, part in zip(rows.view(torch.uint8).numpy(), parts, strict=True):
        yield row.tobytes() + part.tobytes()


def _length_of_part(view: GroupView, slot: Slot) -> int:
    """Positions on a slot's axis that share an input (of a grouped layer), or statistics (of a group norm)."""
    owner, length = _owner(view, slot), view.tensor(slot).shape[slot.axis]
    parts = getattr(owner, "num_groups", 1)
    if slot.role == "producer" and slot.axis == 0:  # a carrier's filters read their own channels
        parts = getattr(owner, "groups", 1)
    return max(1, length // max(1, int(parts)))


def _is_known(view: GroupView, slot: Slot) -> bool:
    """Whether a layer makes the channels of which it is known what each reads."""
    kind = layer_type(_owner(view, slot))
    return bool(kind.form) or kind.larger


def _owner(view: GroupView, slot: Slot) -> torch.nn.Module:
    path = (
        f".{slot.tensor}".split(".parametrizations.")[0] if ".parametrizations." in f".{slot.tensor}" else ""
    )
    return view.model.get_submodule(path[1:] if path else slot.tensor.rpartition(".")[0])


def _rows(view: GroupView, slot: Slot) -> Tensor:
    tensor = view.tensor(slot).detach().movedim(slot.axis, 0)
    return tensor[torch.as_tensor(slot.positions, device=tensor.device)].flatten(1)


def _silent(view: GroupView, slot: Slot) -> Tensor:
    """Units of which a slot holds zeros only, shape (n,)."""
    return (_rows(view, slot) == 0).all(dim=1).cpu()


def _unscaled(view: GroupView, position: int) -> Tensor:
    """Units that the batch norm behind a producer multiplies by zero, shape (n,)."""
    norm = view.norm_of(position)
    if norm is None:
        return torch.zeros(view.group.size, dtype=torch.bool)
    return (norm.gamma == 0).cpu()


def _all(masks: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(masks)).all(dim=0)


def _indices(mask: Tensor) -> tuple[int, ...]:
    return tuple(mask.nonzero()[:, 0].tolist())
