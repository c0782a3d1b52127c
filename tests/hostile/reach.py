"""Walk over everything that can be reached from an object: attributes, containers, closures, caches, classes."""

from __future__ import annotations

import functools
import gc
import sys
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

_FOREIGN = set(sys.stdlib_module_names) | {
    "torch",
    "numpy",
    "secateurs",
    "scipy",
    "builtins",
    "pytest",
    "_pytest",
}
_PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, torch.Size)
CODE_DEPTH = 3
"""What functions name in their modules is followed this many times in a row, for the caches that it may keep."""


def everything(root: Any, code: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield a path and an object for all that is reachable from `root`, each object once, breadth first.

    Args:
        root: A module, or whatever a forward pass returned.
        code: Whether what all instances share is entered too: class attributes, closures' globals, `lru_cache`s.

    Yields:
        The path (such as `.layers[0].cache['grid']`) and the object.
    """
    seen: dict[int, Any] = {}
    waiting: deque[tuple[str, Any, int]] = deque([("", root, 0)])
    while waiting:
        path, item, depth = waiting.popleft()
        if id(item) in seen and not isinstance(item, _PLAIN):
            continue
        seen[id(item)] = item  # held, so that no other object gets its number
        yield path, item
        if isinstance(item, _PLAIN):
            continue
        for name, part in _own(item):
            waiting.append((path + name, part, depth))
        if code and depth < CODE_DEPTH:
            for name, part in _shared(item):
                waiting.append((path + name, part, depth + name.startswith(".global:")))


def _own(item: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds itself."""
    if isinstance(item, Tensor):
        if not isinstance(item, FakeTensor):
            yield from ((f".{k}", v) for k, v in vars(item).items())
        if item.is_leaf and item.grad is not None:
            yield ".grad", item.grad
        return
    if isinstance(item, (type, types.ModuleType)):
        return
    if isinstance(item, (types.FunctionType, types.MethodType, functools.partial)):
        yield from _held_by_code(item)
        return
    if isinstance(item, Mapping):
        yield from ((f"[{_key(k)}]", v) for k, v in item.items())
    elif isinstance(item, (list, tuple, deque)):
        yield from ((f"[{i}]", v) for i, v in enumerate(item))
    elif isinstance(item, (set, frozenset)):
        yield from ((f"{{{i}}}", v) for i, v in enumerate(sorted(item, key=repr)))
    held = getattr(item, "__dict__", None)
    if isinstance(held, dict):
        yield from ((f".{k}", v) for k, v in list(held.items()))
    for kind in type(item).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(item, name):
                yield f".{name}", getattr(item, name)


def _key(key: Any) -> str:
    return repr(key) if isinstance(key, _PLAIN) else type(key).__name__


def _held_by_code(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, functools.partial):
        yield from ((f".args[{i}]", v) for i, v in enumerate(item.args))
        yield from ((f".keywords[{k}]", v) for k, v in item.keywords.items())
        yield ".func", item.func
        return
    if isinstance(item, types.MethodType):
        yield ".__self__", item.__self__
        yield ".__func__", item.__func__
        return
    for name, cell in zip(item.__code__.co_freevars, item.__closure__ or (), strict=True):
        try:
            yield f".<{name}>", cell.cell_contents
        except ValueError:  # a cell that nothing has been put into yet
            continue
    yield from ((f".default[{i}]", v) for i, v in enumerate(item.__defaults__ or ()))


def _shared(item: Any) -> Iterator[tuple[str, Any]]:
    """What instances share: their classes' attributes, what functions read from their modules, caches."""
    if isinstance(item, functools._lru_cache_wrapper):
        yield ".__wrapped__", item.__wrapped__
        for i, part in enumerate(gc.get_referents(item)):
            if not isinstance(part, (type, types.FunctionType)):
                yield f".cache[{i}]", part
    elif isinstance(item, types.FunctionType) and not _foreign(item.__module__):
        for name in item.__code__.co_names:
            if name in item.__globals__:
                yield f".global:{name}", item.__globals__[name]
    elif isinstance(item, type) and not _foreign(item.__module__):
        for kind in item.__mro__:
            if not _foreign(kind.__module__):
                for name, value in list(vars(kind).items()):
                    yield f".{kind.__name__}::{name}", getattr(value, "__func__", value)
    if isinstance(item, (nn.Module,)) or not isinstance(item, (type, types.ModuleType, *_PLAIN)):
        yield ".__class__", type(item)


def _foreign(module: str | None) -> bool:
    return (module or "builtins").partition(".")[0] in _FOREIGN


def fakes(root: Any) -> list[str]:
    """Where tensors without numbers can be reached: fake, functional, and numbers that are symbols."""
    found = []
    for path, item in everything(root, code=True):
        if (
            isinstance(item, Tensor)
            and (
                isinstance(item, FakeTensor)
                or torch._is_functional_tensor(item)
                or type(item).__name__ == "FunctionalTensor"
            )
        ) or isinstance(item, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            found.append(f"{path} is a {type(item).__name__}")
    return found


def tensors_of(result: Any) -> list[tuple[str, Tensor]]:
    """All tensors in what a forward pass returned, whatever holds them; generators are drawn from, modules are not
    entered."""
    if isinstance(result, types.GeneratorType):
        result = list(result)
    found: list[tuple[str, Tensor]] = []
    waiting: deque[tuple[str, Any]] = deque([("", result)])
    seen: dict[int, Any] = {}
    while waiting:
        path, item = waiting.popleft()
        if id(item) in seen or isinstance(
            item, (*_PLAIN, nn.Module, types.FunctionType, types.MethodType, type)
        ):
            continue
        seen[id(item)] = item
        if isinstance(item, Tensor):
            found.append((path, item))
            continue
        if isinstance(item, types.GeneratorType):
            item = list(item)
        waiting.extend((path + name, part) for name, part in _own(item))
    return sorted(found, key=lambda pair: pair[0])
