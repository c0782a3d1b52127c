"""Capture by running: write down every ATen operation that a model dispatches, on numbers or on shapes alone."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from secateurs.graph.places import user_line
from secateurs.graph.program import Op, Program, Value, make_op
from secateurs.network import shapes
from secateurs.network.chance import WithoutChance
from secateurs.running.examples import outputs


class WritesIntoView(Exception):
    """An operation writes other channels into a part of a tensor, which a list of operations cannot show."""


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps every tensor alive while recording, so that identities stay unique."""

    def __init__(self, model: nn.Module, strict: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.strict = strict
        self.ops: list[Op] = []
        self.values: dict[int, Value] = {}
        self.alive: list[Tensor] = []
        self.storages: dict[int, Value] = {}
        self.shared: set[int] = set()
        self.state: dict[Value, str] = {}
        self.modules: list[str] = [""]
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self.state[self.value(tensor)] = name

    def value(self, tensor: Tensor) -> Value:
        """The value that stands for a tensor."""
        key = id(tensor)
        if key not in self.values:
            self.alive.append(tensor)
            self.values[key] = Value(tuple(tensor.shape))
            storage = tensor.untyped_storage()._cdata
            if self.storages.setdefault(storage, self.values[key]) is not self.values[key]:
                self.shared.add(storage)
        return self.values[key]

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """A module is done: what follows belongs to the one that called it."""
        self.modules.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it and write it down."""
        kwargs = kwargs or {}
        if self.strict and func._schema.is_mutable:
            self._check_write(args)
        result = shapes.run(func, args, kwargs)
        given, named = self._written(args), {key: self._written(item) for key, item in kwargs.items()}
        leaves = [result] if isinstance(result, Tensor) else pytree.tree_leaves(result)
        outs = tuple(self.value(o) if isinstance(o, Tensor) else None for o in leaves)
        self.ops.append(make_op(func, given, named, outs, _caller(), self.modules[-1]))
        return result

    def _check_write(self, args: Any) -> None:
        target = args[0] if args else None
        others = [a for a in args[1:] if isinstance(a, Tensor) and a.dim() > 0]
        if isinstance(target, Tensor) and others and target.untyped_storage()._cdata in self.shared:
            raise WritesIntoView(str(target.shape))

    def _written(self, item: Any) -> Any:
        if isinstance(item, Tensor):
            return self.value(item)
        if isinstance(item, (list, tuple)):
            return type(item)(self._written(part) for part in item) if type(item) in (list, tuple) else item
        return item


def _caller() -> str:
    """File and line, in the user's code where possible, that called the operation being recorded."""
    frames: list[tuple[str, int]] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(frames) < 60:
        frames.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return user_line(frames[::-1])


def record(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], strict: bool = False) -> Program:
    """Capture by running, with the values that data-dependent Python code takes on this example.

    Raises:
        WritesIntoView: `strict`, and something is written into a part of a tensor.
    """
    recorder = _Recorder(model, strict)
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, a, n=name: recorder.modules.append(n)))
        handles.append(module.register_forward_hook(recorder.leave, always_call=True))
    try:
        with torch.no_grad(), WithoutChance(), recorder:
            found = outputs(model, args, kwargs)
    finally:
        for handle in handles:
            handle.remove()
    outs, hollow = tuple(recorder.value(leaf) for leaf in found), all(x.device.type == "meta" for x in found)
    shapes_found = tuple(tuple(leaf.shape) for leaf in found) if hollow else None
    return Program(tuple(recorder.ops), recorder.state, outs, found=shapes_found)
