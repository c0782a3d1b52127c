"""What an original is before and after: every tensor by its bits, every attribute, flags, hooks, process-wide state."""

from __future__ import annotations

import functools
import hashlib
import random
import types
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hostile.reach import _PLAIN, everything, fakes


@dataclass(frozen=True)
class Snapshot:
    """A print of everything reachable from a module's instance, by path; parameters and buffers by identity too."""

    prints: Mapping[str, str]
    tensors: Mapping[str, int]
    process: Mapping[str, str]

    @classmethod
    def of(cls, model: nn.Module) -> Snapshot:
        """Take the print of a model as it is now. Cost: one hash over all its tensors."""
        named = [
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ]
        prints = {path: _print(item) for path, item in everything(model)}
        return cls(prints, {name: id(tensor) for name, tensor in named}, _process())

    def differences(self, model: nn.Module) -> list[str]:
        """In words, what is not as it was: changed, new and lost attributes, and anything fake. Empty: all is well."""
        now = Snapshot.of(model)
        found = [
            f"{path or 'the model'} is a new attribute" for path in now.prints if path not in self.prints
        ]
        for path, before in self.prints.items():
            if path not in now.prints:
                found.append(f"{path} is lost")
            elif now.prints[path] != before:
                found.append(f"{path} was {before[:60]}, is {now.prints[path][:60]}")
        found += [
            f"{name} is another object"
            for name, key in self.tensors.items()
            if now.tensors.get(name, key) != key
        ]
        found += [
            f"the process: {key} has changed" for key in self.process if self.process[key] != now.process[key]
        ]
        return found + fakes(model)


def _print(item: Any) -> str:
    if isinstance(item, Tensor) and is_lazy(item):
        return f"{type(item).__name__} without a shape"
    if isinstance(item, Tensor):
        return f"{type(item).__name__} {item.dtype} {tuple(item.shape)} {item.requires_grad} {bits(item)}"
    if isinstance(item, _PLAIN):
        return repr(item)
    if isinstance(item, torch.Generator):
        return f"Generator {bits(item.get_state())}"
    if isinstance(item, np.ndarray):
        return f"array {item.dtype} {item.shape} {hashlib.blake2b(item.tobytes(), digest_size=8).hexdigest()}"
    if isinstance(item, (types.FunctionType, type, functools.partial, weakref.ref)):
        return f"{type(item).__name__} {getattr(item, '__qualname__', '')}"
    length = f" of {len(item)}" if isinstance(item, (Mapping, list, tuple, set)) else ""
    return f"{type(item).__module__}.{type(item).__qualname__}{length}"


def bits(tensor: Tensor) -> str:
    """A hash of a tensor's bits; of its kind alone where it has none (meta, fake, lazy, quantised: its integers)."""
    try:
        plain = tensor.detach()
        if plain.is_quantized:
            plain = plain.int_repr()
        if plain.layout != torch.strided or plain.device.type == "meta":
            return str(plain.layout)
        flat = plain.cpu().contiguous().reshape(-1)
        return hashlib.blake2b(flat.view(torch.uint8).numpy().data, digest_size=12).hexdigest()
    except Exception as error:  # fake tensors and uninitialised parameters have no bits
        return f"no bits ({type(error).__name__})"


def shared(model: nn.Module, small: nn.Module) -> list[str]:
    """Tensors of the result, closures and containers included, that lie in the memory of the original's weights."""
    named = [*model.named_parameters(), *model.named_buffers()]
    own = {
        t.untyped_storage().data_ptr(): n
        for n, t in named
        if not is_lazy(t) and t.device.type != "meta" and t.numel()
    }
    return [
        f"{path} is the original's {own[item.untyped_storage().data_ptr()]}"
        for path, item in everything(small)
        if isinstance(item, Tensor)
        and not is_lazy(item)
        and item.layout == torch.strided
        and item.untyped_storage().data_ptr() in own
    ]


def _process() -> dict[str, str]:
    """State of the process that a library must leave alone."""
    return {
        "the default dtype": str(torch.get_default_dtype()),
        "gradients": str(torch.is_grad_enabled()),
        "torch's random numbers": bits(torch.get_rng_state()),
        "Python's random numbers": str(hash(random.getstate())),
        "numpy's random numbers": hashlib.blake2b(np.random.get_state()[1].tobytes()).hexdigest(),
        "the number of threads": str(torch.get_num_threads()),
    }
