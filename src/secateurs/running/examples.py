"""How an example is handed to a model, and what comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from secateurs.contracts import Example
from secateurs.errors import InputError
from secateurs.running.functions import NUMBERS_AND_WORDS


def as_arguments(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of an example: a tensor, a tuple or list of inputs, or a dict."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)):
        return tuple(example), {}
    return (example,), {}


def call(model: nn.Module, example: Example) -> Any:
    """One forward pass."""
    args, kwargs = as_arguments(example)
    return model(*args, **kwargs)


def outputs(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """All tensors that one forward pass gives: those reachable from what `forward` returns.

    Where that holds none, those that the pass has stored as attributes of the model's modules.

    Raises:
        InputError: There is none of either.

    Example:
        >>> from types import SimpleNamespace
        >>> class Boxed(nn.Identity):
        ...     def forward(self, x):
        ...         return SimpleNamespace(logits=x, more=[x + 1])
        >>> [t.item() for t in outputs(Boxed(), (torch.tensor(1.0),), {})]
        [1.0, 2.0]
    """
    before = {id(t) for t in _attributes(model)}
    result = model(*args, **kwargs)
    found = tensors_in(result) or [t for t in _attributes(model) if id(t) not in before]
    if not found:
        raise InputError(
            f"model: what its forward returns (a {type(result).__name__}) holds no tensor, and it leaves none in an "
            "attribute, so there is no output that a smaller network could be held to; return a tensor."
        )
    return found


def tensors_in(result: Any) -> list[Tensor]:
    """Every tensor reachable from an object, in order: containers, dataclasses, attributes, slots, generators.

    Generators are consumed. Modules are not entered: their parameters are no outputs.

    Example:
        >>> x = torch.ones(1)
        >>> len(tensors_in({"a": x, "b": (y for y in [x + 1, x + 2])}))
        3
    """
    found: list[Tensor] = []
    seen: dict[int, Any] = {}
    stack = [result]
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif id(item) not in seen:
            seen[id(item)] = item
            stack.extend(reversed(_parts(item)))
    return found


def _parts(item: Any) -> list[Any]:
    if item is None or isinstance(item, (str, bytes, int, float, complex, type, nn.Module, torch.Size)):
        return []
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, (list, tuple, set, frozenset)) or (
        isinstance(item, Iterator) and not dataclasses.is_dataclass(item)
    ):
        return list(item)
    slots = [n for kind in type(item).__mro__ for n in _names(getattr(kind, "__slots__", ()))]
    held = [getattr(item, name) for name in slots if hasattr(item, name)]
    held.extend(getattr(item, "__dict__", {}).values())
    if not held and hasattr(item, "__iter__") and hasattr(item, "__len__"):
        return list(item)
    return held


def _names(slots: Any) -> tuple[str, ...]:
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _attributes(model: nn.Module) -> list[Tensor]:
    """Tensors that modules hold as plain attributes or in containers among them."""
    plain = set(vars(nn.Module()))
    return [
        tensor
        for module in model.modules()
        for name, value in vars(module).items()
        if name not in plain and not isinstance(value, NUMBERS_AND_WORDS)
        for tensor in tensors_in(value)
    ]


def inputs_of(example: Example | None) -> Any:
    """An example input as the model's positional arguments (a tuple) or its named ones (a dict).

    Raises:
        InputError: it holds no tensor.

    Example:
        >>> len(inputs_of(torch.zeros(1, 3)))
        1
    """
    if not any(isinstance(x, Tensor) for x in tree_leaves(example)):
        raise InputError(
            f"The example input is a {type(example).__name__} without tensors: give a tensor with the batch axis "
            "first, a tuple of the model's positional inputs, or a dict of its named ones."
        )
    if isinstance(example, Mapping):
        return dict(example)
    return tuple(example) if isinstance(example, (tuple, list)) else (example,)


def first_sample(inputs: Any) -> Any:
    """The inputs of the first sample alone; what has another first axis than the first tensor stays whole.

    Lists inside, as detectors take them, stay whole too: there a tensor is one sample.

    Raises:
        InputError: the batch is empty.

    Example:
        >>> first_sample((torch.zeros(4, 3),))[0].shape
        torch.Size([1, 3])
    """
    values = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
    batch = next((x.shape[0] for x in values if isinstance(x, Tensor) and x.dim()), 1)
    if batch == 0:
        raise InputError("The example input holds no sample: its first axis, the batch, has length 0.")

    def cut(x: Any) -> Any:
        return x[:1] if isinstance(x, Tensor) and x.dim() and x.shape[0] == batch else x

    if isinstance(inputs, Mapping):
        return {name: cut(x) for name, x in inputs.items()}
    return tuple(cut(x) for x in inputs)


def repeated(example: Example, times: int) -> Any:
    """The first sample of an example as a batch of so many; inputs with another first axis stay as they are.

    Example:
        >>> repeated((torch.zeros(4, 3), torch.zeros(7)), 8)[0].shape
        torch.Size([8, 3])
    """
    inputs = first_sample(inputs_of(example))

    def several(x: Any) -> Any:
        one = isinstance(x, Tensor) and x.dim() and x.shape[0] == 1
        return x.expand(times, *x.shape[1:]).contiguous() if one else x

    if isinstance(inputs, dict):
        return {name: several(x) for name, x in inputs.items()}
    return tuple(several(x) for x in inputs)
