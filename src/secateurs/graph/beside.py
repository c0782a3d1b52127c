"""Tensors that no run has touched, beside groups of their width: code that an example did not reach may join them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from torch import nn

from secateurs.contracts import Group
from secateurs.graph.slices import Shapes
from secateurs.layers.tensors import named_tensors


def unread_tensors(model: nn.Module, read: Collection[str]) -> dict[str, str]:
    """Parameters and buffers that no operation has read, each with the module within which it may be used.

    That is the module around the layer it belongs to, or, where its module has parts of its own, that module; where
    nothing has been read within it, the next around it in which something has.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
        >>> unread_tensors(net, {"0.weight", "0.bias"})
        {'1.weight': '', '1.bias': ''}
    """
    first: dict[int, str] = {}
    touched = {id(tensor) for name, tensor in named_tensors(model) if name in read}
    for name, tensor in named_tensors(model):
        if tensor.dim() > 0 and id(tensor) not in touched:
            first.setdefault(id(tensor), name)
    modules = dict(model.named_modules(remove_duplicate=False))
    return {name: _home(name, modules, read) for name in first.values()}


def _home(name: str, modules: Mapping[str, nn.Module], read: Collection[str]) -> str:
    owner = name.rpartition(".")[0].partition(".parametrizations")[0]
    has_parts = next(modules[owner].children(), None) is not None
    home = owner if has_parts else owner.rpartition(".")[0]
    while home and not any(_within(other, home) for other in read):
        home = home.rpartition(".")[0]
    return home


def beside(group: Group, unread: Mapping[str, str], shapes: Shapes, seen: Collection[int] = ()) -> Group:
    """The group, locked where a tensor that no run has touched lies beside it and has its width.

    Args:
        group: Free or locked.
        unread: From `unread_tensors`.
        shapes: Of all tensors by name.
        seen: Lengths of the axes that the group's channels had on their way.
    """
    if group.locked is not None:
        return group
    # a unit can hold several positions of an axis (groups) or a part of one (concatenation); code sees the axis
    widths = {group.size, *seen, *(shapes[s.tensor][s.axis] for s in group.slots)}
    for name, home in unread.items():
        if widths & set(shapes[name]) and any(_within(slot.tensor, home) for slot in group.slots):
            return replace(
                group,
                locked=f"'{name}' beside it has its width and no run has touched it; give an example that uses it",
            )
    return group


def _within(tensor: str, home: str) -> bool:
    return not home or tensor.startswith(f"{home}.")
