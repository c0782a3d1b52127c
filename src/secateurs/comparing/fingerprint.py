"""What a cell depends on, as short hashes: the network, the data, and code of the user's own."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.contracts import Loader
from secateurs.data.batches import batches
from secateurs.layers.tensors import add_to_hash, named_tensors

LENGTH = 32
"""Hexadecimal digits: enough that no two cells share a name."""
_SHOWING = (
    "cli/",
    "report/",
    "runs/",
    "comparing/tables.py",
    "comparing/cluster.py",
    "comparing/executors.py",
)


def digest(value: Any) -> str:
    """The hash of plain values, as JSON holds them.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}), len(digest(1))
        (True, 32)
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def of_network(model: nn.Module, example: Any) -> str:
    """The hash of a network's structure as it prints, of all its tensors by name, and of the example's.

    Example:
        >>> import torch
        >>> one, other = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> x = torch.zeros(1, 1)
        >>> of_network(one, x) == of_network(one, x), of_network(one, x) == of_network(other, x)
        (True, False)
    """
    found = hashlib.sha256(f"{type(model).__qualname__}{model}".encode())
    for name, tensor in named_tensors(model):
        found.update(name.encode())
        add_to_hash(found, tensor)
    for leaf in pytree.tree_leaves(example):
        add_to_hash(found, leaf) if isinstance(leaf, Tensor) else found.update(repr(leaf).encode())
    return found.hexdigest()[:LENGTH]


def of_data(data: Loader | None) -> str:
    """The hash of all inputs and labels, sample after sample, however they are cut into batches.

    Example:
        >>> import torch
        >>> of_data((torch.zeros(4, 2), torch.arange(4))) == of_data([(torch.zeros(4, 2), torch.arange(4))])
        True
    """
    if data is None:
        return "none"
    parts: dict[str, Any] = {}
    for inputs, labels in batches(data):
        named = {**{f"input {i}": x for i, x in enumerate(inputs)}, "labels": labels}
        for name, tensor in named.items():
            if tensor is not None:
                form = f"{name} {tensor.dtype} {tuple(tensor.shape[1:])}"
                add_to_hash(parts.setdefault(form, hashlib.sha256()), tensor, form=False)
    return digest({form: part.hexdigest() for form, part in parts.items()})


def of_library() -> str:
    """The hash of this library's code, but for what only shows numbers: a version may have many states.

    Example:
        >>> len(of_library())
        32
    """
    found, root = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(_SHOWING):
            found.update(name.encode() + path.read_bytes())
    return found.hexdigest()[:LENGTH]


def of_code(thing: Any) -> Any:
    """What tells a method or a repair of the user's own from an earlier one of the same name.

    Values of the library say themselves what they are. Of a function it is the file that it stands in, and what it
    was compiled to where there is no file.

    Example:
        >>> of_code(functools.partial(max, 1)) == of_code(functools.partial(max, 2))
        False
    """
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        own = {field.name: of_code(getattr(thing, field.name)) for field in dataclasses.fields(thing)}
        return {type(thing).__qualname__: own}
    if isinstance(thing, Mapping):
        return {str(key): of_code(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [of_code(value) for value in thing]
    if isinstance(thing, Tensor):
        found = hashlib.sha256()
        add_to_hash(found, thing)
        return found.hexdigest()
    return _of_function(thing) if callable(thing) else repr(thing)


def _of_function(function: Callable[..., Any]) -> Any:
    if isinstance(function, functools.partial):
        return [of_code(function.func), of_code(function.args), of_code(function.keywords)]
    kind = function if hasattr(function, "__qualname__") else type(function)
    if (kind.__module__ or "").split(".")[0] in ("secateurs", "torch", "numpy"):
        return f"{kind.__module__}.{kind.__qualname__}"
    code = getattr(function, "__code__", None)
    around = [of_code(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()]
    own = of_code(getattr(function, "__dict__", {}))
    return [kind.__qualname__, _file(kind), None if code is None else _compiled(code), around, own]


def _file(thing: Any) -> str | None:
    try:
        text = Path(inspect.getsourcefile(thing) or "").read_bytes()
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text).hexdigest()


def _compiled(code: CodeType) -> list[Any]:
    constants = [_compiled(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), constants, list(code.co_names)]
