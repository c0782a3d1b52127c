"""Copy a model with some of its tensors made smaller, and its modules told of the new sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from secateurs.contracts import IntArray
from secateurs.surgery.copies import copy_model

Slices = Mapping[str, Mapping[int, IntArray]]
Attributes = Mapping[str, Mapping[str, int]]


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers under every name they have."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


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


def numbers_of(module: nn.Module) -> dict[str, int]:
    """Integer attributes of a module, and those in its lists and tuples as `name.index`; sizes may be among them."""
    found: dict[str, int] = {}
    for name, value in vars(module).items():
        if name in _HYPERPARAMETERS or name.startswith("_"):
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
        elif isinstance(value, (list, tuple)) and value and all(type(v) is int for v in value):
            found.update({f"{name}.{i}": v for i, v in enumerate(value)})
    return found


_HYPERPARAMETERS = {"kernel_size", "stride", "padding", "output_padding", "dilation", "training"}


def number_of(module: nn.Module, attribute: str) -> int | None:
    """The integer that `set_number` would replace: an attribute, or one entry (`name.index`) of a list or tuple.

    Returns:
        None where there is no such integer, or where it is nothing that depends on widths.

    Example:
        >>> number_of(nn.Conv2d(4, 4, 3, groups=2), "groups"), number_of(nn.Conv2d(4, 4, 3), "kernel_size.0")
        (2, None)
    """
    name, _, index = attribute.partition(".")
    if name in _HYPERPARAMETERS or name.startswith("_"):
        return None
    value: Any = getattr(module, name, None)
    if index:
        inside = isinstance(value, (list, tuple)) and index.isdecimal() and len(index) < 9
        value = value[int(index)] if inside and int(index) < len(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def set_number(module: nn.Module, attribute: str, value: int) -> None:
    """Set an integer attribute, or one entry (`name.index`) of a list or tuple of them; leave others alone."""
    if number_of(module, attribute) is None:
        return
    name, _, index = attribute.partition(".")
    old = getattr(module, name)
    if not index:
        setattr(module, name, value)
        return
    items = list(old)
    items[int(index)] = value
    setattr(module, name, type(old)(items))


def take(tensor: Tensor, kept: Mapping[int, IntArray]) -> Tensor:
    """The positions `kept[axis]` of every named axis, contiguous."""
    for axis, positions in kept.items():
        if tensor.device.type == "meta":
            shape = list(tensor.shape)
            shape[axis] = len(positions)
            tensor = torch.empty(shape, dtype=tensor.dtype, device="meta")
        else:
            index = torch.as_tensor(np.asarray(positions), device=tensor.device)
            tensor = tensor.index_select(axis, index)
    return tensor


def as_kind_of(tensor: Tensor, made: Tensor) -> Tensor:
    """`made` as a parameter where `tensor` is one, with the same wish for gradients."""
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made


def tell_sizes(module: nn.Module) -> None:
    """Make the size attributes of a standard layer agree with its tensors."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.modules.conv._ConvNd) and isinstance(weight, Tensor):
        a, b = weight.shape[0], weight.shape[1]
        if module.transposed:
            module.in_channels, module.out_channels = a, b * module.groups
        else:
            module.out_channels, module.in_channels = a, b * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        found = module.weight if module.weight is not None else module.running_mean
        module.num_features = int(found.shape[0]) if found is not None else module.num_features
    elif isinstance(module, nn.GroupNorm) and isinstance(weight, Tensor):
        module.num_channels = weight.shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.shape[0]
    elif isinstance(module, nn.RNNBase):
        weights = dict(module.named_parameters())
        module.input_size = int(weights["weight_ih_l0"].shape[1])
        if not module.proj_size:
            module.hidden_size = int(weights["weight_hh_l0"].shape[1])
        module.flatten_parameters()
    elif isinstance(module, nn.RNNCellBase):
        module.input_size, module.hidden_size = module.weight_ih.shape[1], module.weight_hh.shape[1]


def keep_norms(model: nn.Module, small: nn.Module, slices: Slices) -> None:
    """Reparametrised weights (weight norm, spectral norm) keep the effective weights they had.

    Weight norm w = g v / ||v||: what is left of v has another norm, so g is scaled by the ratio of the
    norms. Spectral norm w = W / (u^T W v): v is scaled so that the divisor stays what it was.
    """
    old, new = dict(named_tensors(model)), dict(named_tensors(small))
    for names in reparametrised(model):
        if not any(name in slices for name in names):
            continue
        if len(names) == 2:
            _keep_weight_norm(
                old[names[0]], old[names[1]], new[names[0]], new[names[1]], slices.get(names[1], {})
            )
        else:
            _keep_spectral_norm(*(old[n] for n in names), *(new[n] for n in names))


def reparametrised(model: nn.Module) -> Iterator[tuple[str, ...]]:
    """Names of (g, v) of every weight norm and of (W, u, v) of every spectral norm, new style and old.

    They are known by the parametrization or hook that PyTorch registers, never by their names.

    Example:
        >>> list(reparametrised(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))))
        [('parametrizations.weight.original0', 'parametrizations.weight.original1')]
    """
    for path, module in model.named_modules():
        home = f"{path}." if path else ""
        for name, several in getattr(module, "parametrizations", {}).items():
            for kind in (type(one).__name__ for one in several):
                held = f"{home}parametrizations.{name}"
                if kind == "_WeightNorm":
                    yield f"{held}.original0", f"{held}.original1"
                elif kind == "_SpectralNorm":
                    yield f"{held}.original", f"{held}.0._u", f"{held}.0._v"
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                yield f"{home}{hook.name}_g", f"{home}{hook.name}_v"
            elif isinstance(hook, SpectralNorm):
                yield tuple(f"{home}{hook.name}_{end}" for end in ("orig", "u", "v"))


def is_reparametrised(model: nn.Module, slices: Slices) -> bool:
    """Whether any of the named tensors is part of a reparametrised weight."""
    return bool(slices) and any(name in slices for names in reparametrised(model) for name in names)


@torch.no_grad()
def _keep_weight_norm(g0: Tensor, v0: Tensor, g1: Tensor, v1: Tensor, kept: Mapping[int, IntArray]) -> None:
    over = [i for i in range(g0.dim()) if g0.shape[i] == 1]
    if g0.dim() != v0.dim():  # one norm for the whole tensor
        over = list(range(v0.dim()))
    rows = {axis: positions for axis, positions in kept.items() if axis not in over}
    before = take(torch.linalg.vector_norm(v0.double(), dim=over, keepdim=g0.dim() == v0.dim()), rows)
    after = torch.linalg.vector_norm(v1.double(), dim=over, keepdim=g0.dim() == v0.dim())
    empty = after == 0
    g1.copy_(
        torch.where(empty, torch.zeros_like(after), g1.double() * after / before.clamp_min(1e-300)).to(
            g1.dtype
        )
    )
    if bool(empty.any()):  # 0 / 0 would be NaN: any direction will do where the scale is 0
        v1.copy_(torch.where(empty, torch.ones_like(v1), v1))


@torch.no_grad()
def _keep_spectral_norm(w0: Tensor, u0: Tensor, v0: Tensor, w1: Tensor, u1: Tensor, v1: Tensor) -> None:
    sigma0, sigma1 = _sigma(w0, u0, v0), _sigma(w1, u1, v1)
    if float(sigma1) != 0.0:
        v1.mul_((sigma0 / sigma1).to(v1.dtype))


def _sigma(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    rows = weight.double()
    if rows.shape[0] != u.shape[0]:  # transposed convolutions normalise along axis 1
        rows = rows.transpose(0, 1)
    return u.double() @ (rows.reshape(u.shape[0], -1) @ v.double())
