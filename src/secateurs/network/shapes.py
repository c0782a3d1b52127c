"""Shapes without numbers, quickly: what the most frequent operations make of tensors that hold none.

PyTorch works out shapes on the meta device, and those of fake tensors, in Python, for a batch norm or an activation
about as slowly as for the hardest operation. Trials, captures and counts of costs run nothing else, so the frequent
ones are answered here; all others, and all that could be an error, go the ordinary way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from secateurs.network.operations import OPERATIONS

_ELEMENTWISE = frozenset(
    f"aten::{name}{end}"
    for name, entry in OPERATIONS.items()
    if entry.kind in ("activation", "arithmetic") and entry.passes in ("", "same", "pointwise")
    for end in ("", "_")
)
_BATCH_NORM = frozenset(
    f"aten::{name}"
    for name, entry in OPERATIONS.items()
    if entry.passes == "batch norm"
    and (name.removeprefix("native_").removeprefix("cudnn_") == "batch_norm" or name.endswith("_no_training"))
)


class Quick(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, the frequent operations on meta tensors take a short way."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The short way where there is one."""
        return run(func, args, kwargs or {})


def run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do one operation, the short way where there is one."""
    name = func._schema.name
    if name in _ELEMENTWISE and not kwargs.get("dtype"):
        made = _elementwise(name, args)
    elif name in _BATCH_NORM:
        made = _batch_norm(name, args)
    else:
        made = None
    return made if made is not None else func(*args, **kwargs)


def _is_hollow(x: Tensor) -> bool:
    """Whether a tensor holds no numbers."""
    return x.device.type == "meta" or isinstance(x, FakeTensor)


def _elementwise(name: str, args: tuple[Any, ...]) -> Any:
    first = args[0]
    if not isinstance(first, Tensor) or not _is_hollow(first) or not first.is_floating_point():
        return None
    shape = first.shape
    for other in args[1:]:
        if isinstance(other, Tensor) and (
            other.dtype != first.dtype
            or other.dim() > len(shape)
            or any(
                a != b and a != 1 for a, b in zip(other.shape, shape[len(shape) - other.dim() :], strict=True)
            )
        ):
            return None
    return first if name.endswith("_") else _empty_like(first)


def _batch_norm(name: str, args: tuple[Any, ...]) -> Any:
    x, *vectors = args[:5]
    if not _is_hollow(x) or x.dim() < 2:
        return None
    if any(isinstance(v, Tensor) and v.shape != x.shape[1:2] for v in vectors):
        return None
    if name.endswith("native_batch_norm") and args[5] and x.numel() == x.shape[1]:
        return None
    nothing = [x.new_empty(0) for _ in range(3 if name.endswith("cudnn_batch_norm") else 2)]
    return (_empty_like(x), *nothing)


def _empty_like(x: Tensor) -> Tensor:
    """`torch.empty_like`, which PyTorch works out in Python on the meta device."""
    if x.device.type == "meta" and x.is_contiguous():
        return torch.empty(x.shape, dtype=x.dtype, device="meta")
    return torch.empty_like(x)
