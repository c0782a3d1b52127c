"""Fall-back capture: run the model and write down every ATen operation that it dispatches."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from secateurs.graph.program import Op, Program, Value


class _Recorder(TorchDispatchMode):
    """Keeps every tensor alive while recording, so that identities stay unique."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.values: dict[int, Value] = {}
        self.alive: list[Tensor] = []
        self.state: dict[Value, str] = {}
        self.modules: list[str] = [""]
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self.state[self.value(tensor)] = name
        self.made: set[Value] = set(self.state)

    def value(self, tensor: Tensor) -> Value:
        key = id(tensor)
        if key not in self.values:
            self.alive.append(tensor)
            self.values[key] = Value(tuple(tensor.shape))
        return self.values[key]

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """A module is done: what follows belongs to the one that called it."""
        self.modules.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from secateurs.graph.capture import make_op

        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        convert = lambda x: self.value(x) if isinstance(x, Tensor) else x  # noqa: E731
        given = pytree.tree_map(convert, tuple(args))
        named = pytree.tree_map(convert, dict(kwargs))
        outs = tuple(self.value(o) if isinstance(o, Tensor) else None for o in pytree.tree_leaves(result))
        self.ops.append(make_op(func, given, named, outs, _caller(), self.modules[-1]))
        return result


def _caller() -> str:
    """File and line, in the user's code where possible, that called the operation being recorded."""
    from secateurs.graph.capture import user_line

    frames, frame = [], sys._getframe(2)
    while frame is not None and len(frames) < 60:
        frames.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return user_line(frames[::-1])


def record(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
    """Capture by running, with the values that data-dependent Python code takes on this example."""
    recorder = _Recorder(model)
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, a, n=name: recorder.modules.append(n)))
        handles.append(module.register_forward_hook(recorder.leave, always_call=True))
    try:
        with torch.no_grad(), recorder:
            result = model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    leaves = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
    return Program(tuple(recorder.ops), recorder.state, tuple(recorder.value(leaf) for leaf in leaves))
