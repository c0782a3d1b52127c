"""Copy a model with some of its tensors made smaller, and its modules told of the new sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from secateurs.layers.reparametrised import keep_norms
from secateurs.layers.sizes import set_number
from secateurs.layers.tensors import Slices, as_kind_of, named_tensors, take
from secateurs.layers.types import tell_sizes
from secateurs.running.copies import copy_model

Attributes = Mapping[str, Mapping[str, int]]


def cut(
    model: nn.Module,
    slices: Slices,
    attributes: Attributes,
    make: Callable[[Tensor], Tensor] | None = None,
) -> nn.Module:
    """A copy of `model` in which the named tensors keep only the given positions of the given axes.

    `make` turns every tensor of the copy into another one first (another type, another device). The
    original is untouched. Cost: one copy of what is kept.
    """
    memo: dict[int, Any] = {}
    for name, tensor in named_tensors(model):
        if id(tensor) in memo:
            continue
        made = make(tensor.detach()) if make is not None else tensor.detach()
        made = take(made, slices.get(name, {}))
        if made.data_ptr() == tensor.data_ptr() and made.device.type != "meta":
            made = made.clone()
        memo[id(tensor)] = as_kind_of(tensor, made)
    small = copy_model(model, memo, make)
    for path, values in attributes.items():
        module = small.get_submodule(path)
        for attribute, value in values.items():
            set_number(module, attribute, value)
    owners = {name.rpartition(".")[0] for name in slices}
    owners |= {owner.partition(".parametrizations.")[0] for owner in owners}
    for path, module in small.named_modules(remove_duplicate=False):
        if path in owners:
            tell_sizes(module)
    if make is None or not any(t.device.type == "meta" for _, t in named_tensors(small)):
        keep_norms(model, small, slices)
    return small
