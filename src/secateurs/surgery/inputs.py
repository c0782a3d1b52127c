"""What a proof runs on: parts of an example, and random numbers of its shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from secateurs.contracts import Example

SIDES = (64, 96)
"""Pixels on a side of the part of an example that stands for a larger one; the first that a network takes."""


def parts(example: Example) -> Iterator[Any]:
    """Smaller inputs cut out of the middle of an example with one large image, spectrogram or signal."""
    leaves = [x for x in pytree.tree_leaves(example) if isinstance(x, Tensor)]
    large = [x for x in leaves if x.dim() in (4, 5) and max(x.shape[2:]) > SIDES[-1] * 1.3]
    if len(leaves) != 1 or not large:
        return

    def cut_to(sides: list[int]) -> Any:
        def one(x: Any) -> Any:
            for axis, side in enumerate(sides, start=2):
                x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
            return x

        return pytree.tree_map(one, example)

    shape = list(large[0].shape[2:])
    for side in SIDES:
        yield cut_to([min(s, side) for s in shape])
    if max(shape[:-1]) > SIDES[-1] and shape[-1] > SIDES[-1]:
        yield cut_to([*shape[:-1], SIDES[-1]])


def numel(example: Example) -> int:
    """Numbers of the largest tensor of an example; 1 where there is none.

    Example:
        >>> numel((torch.zeros(2, 3), torch.zeros(1)))
        6
    """
    return max([x.numel() for x in pytree.tree_leaves(example) if isinstance(x, Tensor)] or [1])


def random_like(example: Example, seed: int) -> Any:
    """Standard normal numbers where the example has floats; other inputs as they are."""
    generator = torch.Generator().manual_seed(seed)

    def draw(item: Any) -> Any:
        if isinstance(item, Tensor) and item.is_floating_point():
            return torch.randn(item.shape, generator=generator).to(item)
        return item

    return pytree.tree_map(draw, example)


def joined(first: Any, second: Any) -> Any:
    """One batch of the samples of two inputs of equal form; tensors of numbers that are no floats stay `first`'s.

    Example:
        >>> joined(torch.zeros(1, 2), torch.ones(1, 2)).tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """

    def one(a: Any, b: Any) -> Any:
        both = isinstance(a, Tensor) and isinstance(b, Tensor) and a.is_floating_point() and a.dim() > 1
        return torch.cat([a, b]) if both else a

    return pytree.tree_map(one, first, second)
