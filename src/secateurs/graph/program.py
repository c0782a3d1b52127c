"""A captured network as a flat list of operations on values: what the label rules read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from secateurs.network.operations import plain_name


@dataclass(frozen=True, eq=False)
class Value:
    """One tensor of the program; compared by identity."""

    shape: tuple[int, ...]

    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: `name` is the ATen name without overload or trailing underscore.

    Operations of other libraries carry their namespace, as in `torchvision::deform_conv2d`. `within` is the place of
    the argument in whose memory the results lie (views, and what is written in place), -1 where they have their own.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outs: tuple[Value | None, ...]
    pointwise: bool = False
    where: str = ""
    module: str = ""
    argument_names: tuple[str, ...] = ()
    within: int = -1

    def arg(self, position: int, name: str, default: Any = None) -> Any:
        """The argument at a position, by position or by name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def values(self) -> Iterator[Value]:
        """All tensors the operation reads, in order."""
        yield from _values(self.args)
        yield from _values(tuple(self.kwargs.values()))

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else f" in '{self.module}'" if self.module else ""
        return f"{self.name}{place}"


def _values(item: Any) -> Iterator[Value]:
    if isinstance(item, Value):
        yield item
    elif isinstance(item, (list, tuple)):
        for part in item:
            yield from _values(part)


@dataclass(frozen=True)
class Program:
    """The whole capture.

    `state` maps the values of parameters and buffers to their names in the model. Values that are
    neither state nor made by an operation are inputs or constants: their sizes are fixed. `found` holds the shapes of
    the outputs where it was captured on shapes alone.
    """

    ops: tuple[Op, ...]
    state: Mapping[Value, str]
    outputs: tuple[Value, ...]
    constants: frozenset[Value] = frozenset()
    found: tuple[tuple[int, ...], ...] | None = None

    def readers(self) -> dict[Value, list[Op]]:
        """The operations that read each value, in order, each once."""
        found: dict[Value, list[Op]] = {}
        for op in self.ops:
            for value in dict.fromkeys(op.values()):
                found.setdefault(value, []).append(op)
        return found


def make_op(
    target: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    outs: tuple[Value | None, ...],
    where: str,
    module: str,
) -> Op:
    """An `Op` from an ATen overload and its arguments."""
    schema = getattr(target, "_schema", None)
    name = plain_name(schema.name) if schema is not None else getattr(target, "__name__", str(target))
    names = tuple(a.name for a in schema.arguments) if schema is not None else ()
    pointwise = torch.Tag.pointwise in getattr(target, "tags", ()) and "::" not in name
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    for position in range(
        len(args), len(names)
    ):  # what was left out takes its place, so that rules can index
        if names[position] in kwargs:
            args = (*args, kwargs[names[position]])
        else:
            break
    return Op(plain, args, kwargs, outs, pointwise, where, module, names, _within(schema))


def _within(schema: Any) -> int:
    """The place of the first argument that results may lie in, by the schema; -1 where they lie in none."""
    if schema is None or not any(result.alias_info for result in schema.returns):
        return -1
    return next((i for i, argument in enumerate(schema.arguments) if argument.alias_info), -1)
