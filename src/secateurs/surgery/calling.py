"""How an example is handed to a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from secateurs.modes import evaluation


def as_arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of an example: a tensor, a tuple or list of inputs, or a dict."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)):
        return tuple(example), {}
    return (example,), {}


def call(model: nn.Module, example: Any) -> Any:
    """One forward pass."""
    args, kwargs = as_arguments(example)
    return model(*args, **kwargs)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """`evaluation`, and compiled parts run as the code they were compiled from, so that it can be followed."""
    compiled = any(type(module).__name__ == "OptimizedModule" for module in model.modules())
    with evaluation(model), torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield
