"""Evaluation mode inside, and everything as it was outside; the device of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and every module's own mode again outside.

    Example:
        >>> model = nn.Dropout()
        >>> with evaluation(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter or buffer lies; the CPU where it has none.

    Example:
        >>> device_of(nn.Linear(1, 1))
        device(type='cpu')
    """
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """`evaluation`, and compiled parts run as the code they were compiled from, so that it can be followed."""
    compiled = any(type(module).__name__ == "OptimizedModule" for module in model.modules())
    with evaluation(model), torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield
