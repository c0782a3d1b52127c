"""What a model's code keeps outside the model, put back after each run: class attributes, globals, lru_caches.

A run on labels, shapes or fake tensors may leave such tensors in a cache that every model of the process shares;
later models would find them there. Copies of the model (`copies.py`) do not help against that.
"""

from __future__ import annotations

import collections
import sys
import types
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from secateurs.running.functions import CACHED, closed_over, functions_of, named_in

_FOREIGN = {*sys.stdlib_module_names, "torch", "numpy", "sympy", "scipy", "secateurs"} - {"__main__"}
_CONTAINERS = (dict, list, set, collections.deque)
_DEPTH = 3
_LARGE = 10_000


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The classes, globals, closures and caches of a model's code; found once, put back after every run.

    Of classes every attribute is put back. Of globals and of containers in closures only entries that hold tensors
    are, as other threads may change them meanwhile; of `functools.lru_cache` those that have met new arguments are
    emptied.

    Example:
        >>> around = Surroundings.of(nn.Linear(1, 1))
        >>> with around.kept():
        ...     _ = nn.Linear(1, 1)
    """

    classes: tuple[type, ...]
    spaces: tuple[MutableMapping[str, Any], ...]
    caches: tuple[Any, ...]
    closures: tuple[Any, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Surroundings:
        """Those of a model, as far as its code names them."""
        kinds = {kind for module in model.modules() for kind in type(module).__mro__ if not _foreign(kind)}
        homes = {kind.__module__ for kind in kinds}
        spaces: list[MutableMapping[str, Any]] = []
        for name in homes & set(sys.modules):
            space = vars(sys.modules[name])
            spaces.append(space)
            spaces.extend(
                vars(f) for f in list(space.values()) if isinstance(f, types.FunctionType) and vars(f)
            )
        held = [value for kind in kinds for value in vars(kind).values()]
        held.extend(value for module in model.modules() for value in vars(module).values())
        functions = functions_of(model)
        closed = [value for function in functions for value in closed_over(function)]
        held.extend(value for function in functions for value in named_in(function))
        caches = {id(o): o for o in [*held, *closed] if isinstance(o, CACHED)}
        closures = {id(o): o for o in closed if type(o) in _CONTAINERS}
        return cls(tuple(kinds), tuple(spaces), tuple(caches.values()), tuple(closures.values()))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Inside, code may keep what it likes; afterwards its surroundings are as before."""
        attributes = [(kind, _attributes(kind)) for kind in self.classes]
        contents = _contents([value for _, found in attributes for value in found.values()])
        shared = _contents([*self.closures, *(v for space in self.spaces for v in list(space.values()))])
        bound = [dict(space) for space in self.spaces]
        misses = [cache.cache_info().misses for cache in self.caches]
        try:
            yield
        finally:
            for kind, before in attributes:
                _rebind(kind, before)
            for container, old in contents:
                _refill(container, old)
            for container, old in shared:
                _drop_tensors(container, old)
            for space, names in zip(self.spaces, bound, strict=True):
                _drop_tensors(space, names)
            for cache, number in zip(self.caches, misses, strict=True):
                if cache.cache_info().misses != number:
                    cache.cache_clear()


def _foreign(item: Any) -> bool:
    """Whether an object comes from Python, PyTorch or this package, whose own memory is left alone."""
    return str(getattr(item, "__module__", "")).partition(".")[0] in _FOREIGN


def _attributes(kind: type) -> dict[str, Any]:
    """The data among the attributes of a class itself."""
    code = (types.FunctionType, classmethod, staticmethod, property, types.GetSetDescriptorType)
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("__") and not isinstance(value, code) and not name.startswith("_abc_")
    }


def _contents(values: list[Any], depth: int = _DEPTH) -> list[tuple[Any, Any]]:
    """Containers among the values, and those inside, each with a shallow copy."""
    found: list[tuple[Any, Any]] = []
    for value in values:
        if type(value) in _CONTAINERS and len(value) < _LARGE:
            found.append((value, value.copy()))
            inside = list(value.values() if isinstance(value, dict) else value)
            found.extend(_contents(inside, depth - 1) if depth > 1 else ())
    return found


def _rebind(kind: type, before: dict[str, Any]) -> None:
    now = _attributes(kind)
    for name in now.keys() - before.keys():
        delattr(kind, name)
    for name, value in before.items():
        if now.get(name, now) is not value:
            setattr(kind, name, value)


def _refill(container: Any, old: Any) -> None:
    if isinstance(container, dict):
        same = container.keys() == old.keys() and all(container[k] is old[k] for k in old)
    else:
        same = len(container) == len(old) and all(a is b for a, b in zip(container, old, strict=True))
    if not same:
        container.clear()
        container.update(old) if isinstance(container, (dict, set)) else container.extend(old)


def _drop_tensors(container: Any, old: Any) -> None:
    """Take out of a container what holds a tensor and has come in since."""
    if isinstance(container, dict):
        for key, value in list(container.items()):
            if old.get(key, old) is not value and _bears_tensor(value):
                if key in old:
                    container[key] = old[key]
                else:
                    container.pop(key, None)
        return
    known = {id(item) for item in old}
    if any(id(item) not in known and _bears_tensor(item) for item in list(container)):
        _refill(container, old)


def _bears_tensor(item: Any, depth: int = _DEPTH) -> bool:
    if isinstance(item, Tensor):
        return True
    if depth == 0 or isinstance(item, (str, bytes, type, nn.Module, types.ModuleType)):
        return False
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, (list, tuple, set)) else ()
    return any(_bears_tensor(part, depth - 1) for part in parts)
