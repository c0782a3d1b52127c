"""The tensors of a model by all their names, and parts of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.contracts import IntArray

Slices = Mapping[str, Mapping[int, IntArray]]


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers under every name they have."""
    modules = list(model.named_modules(remove_duplicate=False))
    for path, module in modules:
        yield from _held(path, module._parameters)
    for path, module in modules:
        yield from _held(path, module._buffers)


def _held(path: str, tensors: Mapping[str, Tensor | None]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if tensor is not None:
            yield f"{path}.{name}" if path else name, tensor


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


def add_to_hash(found: Any, tensor: Tensor, form: bool = True) -> None:
    """Update a hash of `hashlib` with the bytes of a tensor, and with its type and shape unless told otherwise."""
    if form:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    if tensor.numel():
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(plain.view(torch.uint8).numpy())
