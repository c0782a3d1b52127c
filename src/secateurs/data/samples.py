"""What can be said of calibration data before a network has run on them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from secateurs.contracts import Example, Loader
from secateurs.data.batches import batches
from secateurs.errors import InputError


def about_samples(data: Loader, example: Example, limit: int) -> tuple[str, ...]:
    """Look at the first samples until two of them differ, which is soon: a remark where none do.

    Args:
        data: Can be read several times.
        example: One input of the network, which samples have to resemble.
        limit: At most so many samples are read.

    Returns:
        One remark where there is a single sample, or where all are the same; nothing otherwise.

    Raises:
        InputError: The first samples are of another type or shape than the example, or not finite.

    Example:
        >>> about_samples(torch.ones(4, 3), torch.zeros(1, 3), 100)
        ('data: all 4 samples are the same, so what was measured on them says little; give samples as in training.',)
    """
    first: Tensor | None = None
    count = 0
    for inputs, _ in batches(data, 32, limit=limit):
        x = inputs[0]
        if first is None:
            _check_like(x, example)
            first = x[0]
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise InputError(
                "data: the first samples hold NaN or infinity, which makes NaN or infinite activations; mend how "
                "they are read or normalised."
            )
        count += len(x)
        if x.shape[1:] != first.shape or bool((x != first).any()):
            return ()
    if count == 1:
        return (
            "data: there is a single sample, and what was measured on it says little; give some hundreds.",
        )
    return (
        f"data: all {count} samples are the same, so what was measured on them says little; give samples as in "
        "training.",
    )


def _check_like(x: Tensor, example: Example) -> None:
    """The first input of a batch against the first tensor of the example, or of the first of several examples."""
    if type(example) is list and example:
        example = example[0]
    if isinstance(example, Mapping):
        return  # named inputs have no order that samples could follow
    like = next((leaf for leaf in pytree.tree_leaves(example) if isinstance(leaf, Tensor)), None)
    if like is None:
        return
    if x.dtype != like.dtype and (x.is_floating_point() or like.is_floating_point()):
        raise InputError(
            f"data: samples are {_short(x.dtype)} and the example input is {_short(like.dtype)}; convert them, as in "
            f"x.to({like.dtype}), and normalise them as in training."
        )
    if x.dim() != like.dim() or (x.dim() == 4 and x.shape[1] != like.shape[1]):
        raise InputError(
            f"data: a batch has shape {list(x.shape)} and the example input {list(like.shape)}; give batches of "
            "inputs such as the example."
        )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
