"""The functions that a model's own code consists of, as far as they can be found without running it."""

from __future__ import annotations

import collections
import contextlib
import functools
import types
from typing import Any

from torch import Tensor, nn

NUMBERS_AND_WORDS = (type(None), bool, int, float, str)
_HOLLOW, _CONTAINERS = (
    frozenset(NUMBERS_AND_WORDS),
    frozenset((dict, collections.OrderedDict, list, tuple, set)),
)
CACHED = type(functools.lru_cache(lambda: None))
_FOREIGN = ("torch", "builtins", "numpy", "functools", "typing")


def functions_of(model: nn.Module) -> list[types.FunctionType]:
    """Methods of the model's classes, functions it holds, and those that these call or wrap; not PyTorch's.

    Example:
        >>> functions_of(nn.Sequential(nn.Linear(1, 1)))
        []
    """
    kinds = {kind for module in model.modules() for kind in type(module).__mro__}
    waiting = [
        f for kind in kinds if not _foreign(kind) for value in vars(kind).values() for f in _plain(value)
    ]
    waiting.extend(
        f
        for module in model.modules()
        for value in vars(module).values()
        if value.__class__ not in _HOLLOW and (value.__class__ not in _CONTAINERS or value)
        for part in _held(value)
        if not isinstance(part, (Tensor, nn.Module))
        for f in _plain(part)
    )
    found: dict[int, types.FunctionType] = {}
    while waiting:
        function = waiting.pop()
        if id(function) not in found and not _foreign(function):
            found[id(function)] = function
            known = function.__globals__
            waiting.extend(f for name in names_of(function) for f in _plain(known.get(name)))
            waiting.extend(f for value in closed_over(function) for f in _plain(value))
    return list(found.values())


def closed_over(function: types.FunctionType) -> list[Any]:
    """The values of an outer function that a function goes on using, such as what a decorator has made.

    Example:
        >>> closed_over((lambda factor: lambda x: factor * x)(2))
        [2]
    """
    found: list[Any] = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # one that is not filled yet
            found.append(cell.cell_contents)
    return found


def named_in(function: types.FunctionType) -> list[Any]:
    """What the names in a function's code stand for in its module, attributes of modules included.

    Example:
        >>> def twice(x):
        ...     return nn.functional.relu(x)
        >>> nn.functional.relu in named_in(twice)
        True
    """
    names, known = names_of(function), function.__globals__
    found = [known[name] for name in names if name in known]
    for item in found:  # grows: torch, then torch.nn, then torch.nn.functional
        if isinstance(item, types.ModuleType):
            inside = [getattr(item, name, None) for name in names]
            found.extend(i for i in inside if i is not None and not any(i is f for f in found))
    return found


def names_of(function: types.FunctionType) -> list[str]:
    """Globals and attributes that a function's code names, functions that it defines inside included.

    Example:
        >>> names_of(lambda x: (lambda y: y.shape)(x))
        ['shape']
    """
    names: dict[str, None] = {}
    codes = [function.__code__]
    for code in codes:  # grows
        names.update(dict.fromkeys(code.co_names))
        codes.extend(inner for inner in code.co_consts if isinstance(inner, types.CodeType))
    return list(names)


def _held(value: Any, depth: int = 3) -> list[Any]:
    """A value, or what a container holds."""
    parts = value.values() if type(value) is dict else value if type(value) in (list, tuple, set) else None
    if parts is None or depth == 0:
        return [value]
    return [inner for part in parts for inner in _held(part, depth - 1)]


def _plain(value: Any) -> list[types.FunctionType]:
    """The function behind a method, a static or class method, a partial call or a cache."""
    held = getattr(value, "__func__", value)
    held = held.func if isinstance(held, functools.partial) else held
    held = held.__wrapped__ if isinstance(held, CACHED) else held
    return [held] if isinstance(held, types.FunctionType) else []


def _foreign(item: Any) -> bool:
    return str(getattr(item, "__module__", "")).partition(".")[0] in _FOREIGN
