"""Formulas run on PyTorch in float64, where their input lies, and answer in the kind they were asked.

A numpy array comes back as a numpy array, a tensor as a tensor on its own device, so the formulas
work on a GPU without a second version of anything.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from secateurs.contracts import ArrayT, FloatArray
from secateurs.errors import InputError

_SHAPES = {1: "(n,)", 2: "(n, d)", 3: "(n, c, t)", 4: "(b, n, h, w)"}


def checked(values: FloatArray | Tensor, name: str, *, ndim: int = 2) -> Tensor:
    """The values as a float64 tensor on their own device, never empty, every entry finite.

    Args:
        values: A numpy array or a tensor of any real type, on any device; it is not changed.
        name: What the values are, for the message.
        ndim: How many axes they must have.

    Returns:
        A float64 tensor of the same shape. It may share memory with `values`: do not write to it.

    Raises:
        InputError: Wrong number of axes, an empty axis, or NaN or infinite entries.

    Example:
        >>> checked(np.ones((2, 3)), "filters").shape
        torch.Size([2, 3])
    """
    tensor = values.detach() if isinstance(values, Tensor) else _from_numpy(values, name)
    if tensor.device.type == "mps":  # has no float64
        tensor = tensor.cpu()
    tensor = tensor.to(torch.float64)
    if tensor.ndim != ndim:
        raise InputError(
            f"{name}: expected {ndim} axes {_SHAPES.get(ndim, '')}, got shape {tuple(tensor.shape)}; "
            "reshape it first"
        )
    if tensor.numel() == 0:
        raise InputError(
            f"{name}: shape {tuple(tensor.shape)} is empty; give at least one filter and one value"
        )
    if not bool(torch.isfinite(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
        bad = (~torch.isfinite(tensor)).nonzero()
        raise InputError(
            f"{name}: {len(bad)} of {tensor.numel()} values are NaN or infinite, the first at index "
            f"{tuple(bad[0].tolist())}; check the weights or the data they were computed from"
        )
    return tensor


def square(values: FloatArray | Tensor, name: str) -> Tensor:
    """`checked`, and also symmetric: (n, n) with equal halves up to rounding.

    Args:
        values: Shape (n, n).
        name: What the values are, for the message.

    Returns:
        A float64 tensor of shape (n, n).

    Raises:
        InputError: As `checked`, or not square, or not symmetric.

    Example:
        >>> square(np.eye(2), "likeness").shape
        torch.Size([2, 2])
    """
    tensor = checked(values, name)
    if tensor.shape[0] != tensor.shape[1]:
        raise InputError(
            f"{name}: expected shape (n, n), got {tuple(tensor.shape)}; compare every filter with all"
        )
    scale = max(float(tensor.abs().max()), 1e-300)
    if float((tensor - tensor.T).abs().max()) > 1e-6 * scale:
        raise InputError(f"{name}: the two halves differ; i is to j as j is to i, so give a symmetric matrix")
    return tensor


def two_columns(entries: FloatArray | Tensor) -> Tensor:
    """Check batch-norm entries (beta, gamma) as `checked` does, and that they have two columns.

    Args:
        entries: Shape (n, 2).

    Returns:
        A float64 tensor of shape (n, 2).

    Raises:
        InputError: As `checked`, or another number of columns.

    Example:
        >>> two_columns(np.ones((3, 2))).shape
        torch.Size([3, 2])
    """
    tensor = checked(entries, "beta and gamma")
    if tensor.shape[1] != 2:
        raise InputError(f"beta and gamma: expected shape (n, 2), got {tuple(tensor.shape)}")
    return tensor


def alike(result: Tensor, source: ArrayT) -> ArrayT:
    """The result in the kind of `source`: numpy for numpy, else the tensor itself.

    Args:
        result: What a formula computed.
        source: What the caller handed in.

    Returns:
        `result`, as a numpy array where `source` is one.

    Example:
        >>> alike(torch.ones(2), np.zeros(1))
        array([1., 1.], dtype=float32)
    """
    return result if isinstance(source, Tensor) else result.cpu().numpy()


def normalise_rows(filters: Tensor) -> Tensor:
    """Each row divided by its length; rows of zeros stay zero.

    Args:
        filters: Shape (n, d).

    Returns:
        Shape (n, d).

    Cost:
        O(n d).

    Example:
        >>> normalise_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    size = filters.abs().amax(dim=1, keepdim=True)
    scaled = filters / torch.where(size > 0, size, 1.0)
    length = scaled.norm(dim=1, keepdim=True)
    return scaled / torch.where(length > 0, length, 1.0)


def _from_numpy(values: FloatArray, name: str) -> Tensor:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected real numbers, got {array.dtype}; convert it to float64")
    array = np.ascontiguousarray(array, dtype=np.float64)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
