"""Copies of models that share no state with the original, also where its code holds functions over the model.

`copy.deepcopy` keeps functions as they are, so a hook or a `forward` that is a closure over the original goes
on running the original's weights; it fails on locks and open files, and on modules that refuse it. Here a
function that reaches the model is made anew over the copy, and what cannot be copied is shared.
"""

from __future__ import annotations

import collections
import copy
import enum
import functools
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.running.functions import CACHED, NUMBERS_AND_WORDS

_ATOMS = (
    *NUMBERS_AND_WORDS,
    complex,
    bytes,
    range,
    slice,
    type,
    enum.Enum,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.CodeType,
    torch.dtype,
    torch.device,
    torch.Size,
    torch.layout,
    torch.memory_format,
)
_PLAIN = frozenset(NUMBERS_AND_WORDS)  # most of what a model holds; asked first, as that is quick
Make = Callable[[Tensor], Tensor]


def copy_model(
    model: nn.Module, tensors: Mapping[int, Any] | None = None, make: Make | None = None
) -> nn.Module:
    """Copy a model with all that it holds; nothing that the copy does reaches the original.

    Args:
        model: Any module; it is only read.
        tensors: What takes the place of a tensor, by its `id`; all others are cloned.
        make: Turns each clone into another tensor first (another type, another device).

    Returns:
        A module of the same class. Locks, open files and the like, which cannot be copied, are shared.

    Cost:
        One copy of every tensor that is not replaced.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> scale = lambda layer: lambda module, args, out: out * layer.weight.sum()
        >>> handle = net.register_forward_hook(scale(net))
        >>> twin = copy_model(net)
        >>> with torch.no_grad():
        ...     _ = net.weight.zero_(), net.bias.fill_(1.0)
        >>> net(torch.ones(1, 2)).item(), twin(torch.ones(1, 2)).item() != 0
        (0.0, True)
    """
    copied: nn.Module = _Copier(model, dict(tensors or {}), make)(model)
    return copied


class _Copier:
    """One copy under way; `memo` holds what has been copied by `id`, as `copy.deepcopy` has it."""

    def __init__(self, model: nn.Module, memo: dict[int, Any], make: Make | None) -> None:
        self.model, self.memo, self.make = model, memo, make
        self.kept: list[Any] = []  # an id is that of one object only while it lives

    @functools.cached_property
    def own(self) -> set[int]:
        """The model's modules and tensors, by `id`."""
        parts = (self.model.modules(), self.model.parameters(), self.model.buffers())
        return {id(part) for several in parts for part in several}

    def __call__(self, item: Any) -> Any:
        kind = type(item)
        rule = _RULES.get(kind)
        if kind in _PLAIN or (rule is None and isinstance(item, _ATOMS)):
            return item
        found = self.memo.get(id(item))
        if found is not None:
            return found
        made = self._made(item) if rule is None else rule(self, item)
        if made is not item:
            self.memo[id(item)] = made
            self.kept.append(item)
        return made

    def _made(self, item: Any) -> Any:
        if isinstance(item, Tensor):
            return self._tensor(item)
        if isinstance(item, torch.fx.GraphModule):
            return self._plainly(item)
        if isinstance(item, nn.Module):
            return self._object(item)
        return self._other(item)

    def _tensor(self, item: Tensor) -> Tensor:
        made = item.detach()
        made = made.clone() if self.make is None else self.make(made)
        if made.device == item.device and made.device.type != "meta" and _shares(made, item):
            made = made.clone()
        if isinstance(item, nn.Parameter):
            return nn.Parameter(made, requires_grad=item.requires_grad)
        return made.requires_grad_(item.requires_grad and item.is_leaf)

    def _object(self, item: Any) -> Any:
        """An object by its class and attributes, whatever its own ways of being copied."""
        kind: Any = type(item)
        made = kind.__new__(kind)
        self.memo[id(item)] = made
        self.kept.append(item)
        held = made.__dict__
        for name, value in vars(item).items():
            held[name] = value if type(value) in _PLAIN else self(value)
        for name in _slots(kind):
            if hasattr(item, name):
                object.__setattr__(made, name, self(getattr(item, name)))
        return made

    def _other(self, item: Any) -> Any:
        kind: Any = type(item)
        usual: Any = object
        ways = ("__new__", "__reduce_ex__", "__reduce__", "__getstate__", "__deepcopy__")
        plain = all(getattr(kind, way, None) is getattr(usual, way, None) for way in ways)
        if plain and hasattr(item, "__dict__"):
            return self._object(item)
        return self._plainly(item)

    def _plainly(self, item: Any) -> Any:
        try:
            return copy.deepcopy(item, self.memo)
        except Exception:  # locks, files, whatever refuses: it is shared
            return item

    def _function(self, item: types.FunctionType) -> Any:
        if not self._reaches(item):
            return item
        cells = None if item.__closure__ is None else tuple(types.CellType() for _ in item.__closure__)
        made = types.FunctionType(item.__code__, item.__globals__, item.__name__, None, cells)
        self.memo[id(item)] = made
        self.kept.append(item)
        for cell, old in zip(cells or (), item.__closure__ or (), strict=True):
            if not _empty(old):
                cell.cell_contents = self(old.cell_contents)
        made.__defaults__, made.__kwdefaults__ = self(item.__defaults__), self(item.__kwdefaults__)
        made.__dict__.update({name: self(value) for name, value in vars(item).items()})
        made.__qualname__, made.__doc__, made.__module__ = item.__qualname__, item.__doc__, item.__module__
        return made

    def _cached(self, item: Any) -> Any:
        if not self._reaches(item.__wrapped__):
            return item
        return functools.lru_cache(**item.cache_parameters())(self(item.__wrapped__))

    def _weak(self, item: weakref.ref[Any]) -> Any:
        target = item()
        known = target is not None and (id(target) in self.memo or id(target) in self.own)
        return weakref.ref(self(target)) if known else item

    def _reaches(self, item: Any) -> bool:
        """Whether a function holds the model, a part of it or one of its tensors, however deep."""
        seen: set[int] = set()
        stack = [item]
        while stack:
            part = stack.pop()
            if id(part) in self.own or id(part) in self.memo:
                return True
            if id(part) not in seen and not isinstance(part, (*_ATOMS, nn.Module, Tensor)):
                seen.add(id(part))
                stack.extend(_parts(part))
        return False


def _shares(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors may lie in the same memory; of tensors without such, whether they are one."""
    try:
        return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return a is b


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                yield name


def _empty(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is cell
    except ValueError:
        return True


def _parts(item: Any) -> list[Any]:
    """What a function, method, partial call, container or plain object holds."""
    if isinstance(item, types.FunctionType):
        cells = [c.cell_contents for c in item.__closure__ or () if not _empty(c)]
        more = (item.__defaults__ or (), (item.__kwdefaults__ or {}).values(), vars(item).values())
        return [*cells, *(part for several in more for part in several)]
    if isinstance(item, types.MethodType):
        return [item.__func__, item.__self__]
    if isinstance(item, functools.partial):
        return [item.func, *item.args, *item.keywords.values()]
    if isinstance(item, CACHED):
        return [item.__wrapped__]
    if isinstance(item, weakref.ref):
        return [item()]
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, (list, tuple, set, frozenset, collections.deque)):
        return list(item)
    return list(getattr(item, "__dict__", {}).values())


def _list(copier: _Copier, item: list[Any]) -> list[Any]:
    made: list[Any] = []
    copier.memo[id(item)] = made
    copier.kept.append(item)
    made.extend(copier(part) for part in item)
    return made


def _dict(copier: _Copier, item: Any) -> Any:
    made = type(item)()
    if type(item) is collections.defaultdict:
        made.default_factory = copier(item.default_factory)
    copier.memo[id(item)] = made
    copier.kept.append(item)
    for key, value in list(item.items()) if item else ():
        made[key if type(key) is str else copier(key)] = copier(value)
    return made


def _tuple(copier: _Copier, item: tuple[Any, ...]) -> tuple[Any, ...]:
    if all(type(part) in _PLAIN for part in item):
        return item
    made = tuple(copier(part) for part in item)
    return made if any(a is not b for a, b in zip(made, item, strict=True)) else item


_RULES: dict[type, Callable[[_Copier, Any], Any]] = {
    list: _list,
    dict: _dict,
    collections.OrderedDict: _dict,
    collections.defaultdict: _dict,
    tuple: _tuple,
    set: lambda copier, item: {copier(part) for part in item},
    frozenset: lambda copier, item: frozenset(copier(part) for part in item),
    collections.deque: lambda copier, item: collections.deque(map(copier, item), item.maxlen),
    types.FunctionType: _Copier._function,
    types.MethodType: lambda copier, item: types.MethodType(copier(item.__func__), copier(item.__self__)),
    functools.partial: lambda copier, item: functools.partial(
        copier(item.func), *map(copier, item.args), **{k: copier(v) for k, v in item.keywords.items()}
    ),
    CACHED: _Copier._cached,
    weakref.ReferenceType: _Copier._weak,
    torch.Generator: lambda copier, item: item.clone_state(),
}
