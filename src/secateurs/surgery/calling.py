"""How an example is handed to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


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
