"""Running a model without leaving a trace on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.errors import InputError


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


def input_tuple(example: Any) -> tuple[Any, ...]:
    """An example input as the model's positional arguments.

    Raises:
        InputError: it holds no tensor, or is a mapping.

    Example:
        >>> len(input_tuple(torch.zeros(1, 3)))
        1
    """
    inputs = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    if isinstance(example, Mapping) or not any(isinstance(x, Tensor) for x in inputs):
        raise InputError(
            f"The example input is a {type(example).__name__}: give a tensor with the batch axis first, or a "
            "tuple of the model's positional inputs."
        )
    return inputs


def first_sample(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of the first sample alone; what has another first axis than the first tensor stays whole.

    Raises:
        InputError: the batch is empty.

    Example:
        >>> first_sample((torch.zeros(4, 3),))[0].shape
        torch.Size([1, 3])
    """
    batch = next((x.shape[0] for x in inputs if isinstance(x, Tensor) and x.dim()), 1)
    if batch == 0:
        raise InputError("The example input holds no sample: its first axis, the batch, has length 0.")

    def cut(x: Any) -> Any:
        return x[:1] if isinstance(x, Tensor) and x.dim() and x.shape[0] == batch else x

    return tuple(cut(x) for x in inputs)
