"""Weights of Keras networks: their layouts turned into PyTorch's, and TensorFlow's "same" padding."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.errors import MismatchError
from secateurs.zoo.weights import fill_, read_weights

_NAMES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around maps as TensorFlow's "same" padding puts them: ceil(n / stride) outputs, the odd one at the end.

    Args:
        x: Maps, shape (b, c, h, w).
        kernel: Side of the kernel that reads them.
        stride: Its stride.

    Returns:
        The padded maps.

    Example:
        >>> same(torch.zeros(1, 1, 96, 64), 3, 2).shape
        torch.Size([1, 1, 97, 65])
    """
    down, across = (_missing(side, kernel, stride) for side in x.shape[2:])
    return F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))


def _missing(side: int, kernel: int, stride: int) -> int:
    return max((-(-side // stride) - 1) * stride + kernel - side, 0)


def channels_last(x: Tensor) -> Tensor:
    """Maps (b, c, h, w) as rows (b, h w c), in the order of a Keras `Flatten`.

    Example:
        >>> channels_last(torch.arange(4.0).reshape(1, 2, 1, 2))
        tensor([[0., 2., 1., 3.]])
    """
    return torch.flatten(x.permute(0, 2, 3, 1), 1)


def from_keras(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """One tensor of a Keras network under PyTorch's name and in its layout.

    Convolutions (h, w, in, out) become (out, in, h, w), one-dimensional ones (length, in, out) become
    (out, in, length), depthwise ones (h, w, in, each) become (in each, 1, h, w), dense ones (in, out) become
    (out, in).

    Args:
        name: As Keras has it, such as `conv1/kernel` or `bn1/moving_mean`.
        tensor: Its values.

    Raises:
        MismatchError: The last part of the name is none of Keras.

    Example:
        >>> name, weight = from_keras("conv1/kernel", torch.zeros(7, 5, 3, 16))
        >>> name, tuple(weight.shape)
        ('conv1.weight', (16, 3, 7, 5))
    """
    layer, _, kind = name.rpartition("/")
    kind = kind.removesuffix(":0")
    if kind not in _NAMES:
        raise MismatchError(f"The Keras tensor '{name}' is of no kind known here: {', '.join(_NAMES)}.")
    if kind == "depthwise_kernel":
        height, width, read, each = tensor.shape
        tensor = tensor.permute(2, 3, 0, 1).reshape(read * each, 1, height, width)
    elif kind == "kernel":
        last = tensor.dim() - 1
        tensor = tensor.permute(last, last - 1, *range(last - 1))
    return f"{layer.replace('/', '.')}.{_NAMES[kind]}", tensor.contiguous()


def load_keras_weights(model: nn.Module, path: str | Path, prefix: str = "") -> nn.Module:
    """Fill a network with Keras weights from a .safetensors file, all of them or none.

    Batch norms have Keras's epsilon (1e-3) in the networks of the zoo whose weights come from there. An HDF5 file is
    converted once, where h5py is: `save_file({name: torch.from_numpy(values[()]) ...}, "file.safetensors")`.

    Args:
        model: Filled in place, untouched where an error is raised; its layers have the names of the file's.
        path: The file, with names such as `conv1/kernel`.
        prefix: The part of the file to take, such as `C1/` where it holds several networks.

    Returns:
        The same `model`.

    Raises:
        InputError: The file cannot be read, or a tensor holds NaN or infinite values.
        MismatchError: Names or shapes do not belong to this network; says which.

    Example:
        >>> load_keras_weights(nn.Linear(2, 2), "missing.safetensors")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The weights 'missing.safetensors' cannot be found.
    """
    found = {k.removeprefix(prefix): v for k, v in read_weights(path).items() if k.startswith(prefix)}
    return fill_(model, dict(from_keras(name, tensor) for name, tensor in found.items()), path)
