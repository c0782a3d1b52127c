"""Running a model without leaving a trace on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

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


def inputs_of(example: Any) -> Any:
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
