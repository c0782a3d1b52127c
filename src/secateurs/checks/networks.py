"""The network and its example input, before anything is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from secateurs.checks.shown import shown
from secateurs.errors import CaptureError, InputError


def check_model(model: Any, name: str = "model") -> None:
    """Make sure that an argument is a network, and that all its tensors have shapes.

    Raises:
        InputError: It is a class, a function, a path, a state dict or nothing at all; says what to give.
        CaptureError: It has lazy layers that have not been run yet.

    Example:
        >>> check_model(nn.Linear)
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: model is the class Linear; give an object of it, as in model=Linear(...).
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"{name} is {shown(model)}; {_instead(model, name)}.")
    for path, module in model.named_modules():
        for part, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and is_lazy(tensor):
                where = f"{path}.{part}" if path else part
                raise CaptureError(
                    f"{name}: '{where}' has no shape yet (a lazy layer); run the model once on an input first."
                )


def _instead(model: Any, name: str) -> str:
    if isinstance(model, type):
        return f"give an object of it, as in {name}={model.__name__}(...)"
    if isinstance(model, Mapping):
        return (
            "a network is an nn.Module: build it, fill it with load_state_dict where this is its state, and give "
            "it"
        )
    if isinstance(model, (str, os.PathLike)):
        return "a network is an nn.Module: build it, fill it with its weights, and give it instead of a path"
    if callable(model):
        return "give the nn.Module that it makes or belongs to"
    return "give an nn.Module"


def check_has_parameters(model: nn.Module, name: str = "model") -> None:
    """Make sure that a network has something that could leave.

    Raises:
        InputError: It has no parameters.

    Example:
        >>> check_has_parameters(nn.Linear(1, 1))
    """
    if next(model.parameters(), None) is None:
        kind = type(model).__name__
        raise InputError(f"{name}: this {kind} has no parameters, so nothing can be removed from it.")


def check_example(example: Any, name: str = "example") -> None:
    """Make sure that an example input holds a tensor, be it as an attribute of an object.

    Raises:
        InputError: It holds none.

    Example:
        >>> import torch
        >>> check_example((torch.zeros(1, 3), None))
    """
    if not any(_holds_tensor(leaf) for leaf in pytree.tree_leaves(example)):
        raise InputError(
            f"{name} is {shown(example)} without tensors; give a tensor with the batch axis first, a tuple of the "
            "network's inputs, or a dict of its named ones."
        )


def _holds_tensor(leaf: Any) -> bool:
    inside = getattr(leaf, "__dict__", {}).values()
    return isinstance(leaf, Tensor) or any(isinstance(value, Tensor) for value in inside)
