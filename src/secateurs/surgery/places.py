"""What a consumer of removed channels was given and what it made of it: the places at which a proof compares.

Outputs of the whole network can hide an error (masked logits, a saturated sigmoid, a head that starts at zero);
what a layer reads and writes right behind the removed channels cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from secateurs.contracts import IntArray

_ROWS = 64
_EPS = 2.0**-47
Kept = Mapping[str, Mapping[int, IntArray]]


@dataclass(frozen=True)
class Place:
    """One use of a weight: rows of what was read and written, channels last, and the weight's channel axes.

    `reads` and `writes` have shape (rows, channels), at most 64 rows spread over samples and positions; None
    where it is not known which axis holds the channels. `axes` are the axes of the weight along which the
    channels read and written lie (-1 for none); `repeats` says how many groups of each there are. `shapes` are
    those of the whole tensors without the axis of the channels: rows can be compared where they agree.
    """

    tensor: str
    reads: Tensor | None
    writes: Tensor
    axes: tuple[int, int]
    repeats: tuple[int, int]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]


def place_of(
    tensor: str, position: int, name: str, args: Any, kwargs: Mapping[str, Any], result: Any
) -> Place | None:
    """The place of one call, or None where what comes out is no tensor of numbers.

    Args:
        tensor: Name of the weight.
        position: Which argument the weight is.
        name: The function.
        args: Its arguments, as it was given them.
        kwargs: Its named arguments.
        result: What came out.

    Example:
        >>> x, w = torch.ones(2, 3), torch.ones(4, 3)
        >>> place = place_of("w", 1, "linear", (x, w), {}, x @ w.T)
        >>> place.reads.shape, place.writes.shape
        (torch.Size([2, 3]), torch.Size([2, 4]))
    """
    if not isinstance(result, Tensor) or not result.is_floating_point() or not result.dim():
        return None
    x = args[0] if args else kwargs.get("input")
    found = _form(name, args, kwargs) if position == 1 and isinstance(x, Tensor) else None
    if found is None or not isinstance(x, Tensor):
        return Place(tensor, None, _rows(result, -1), (-1, -1), (1, 1), ((), (*result.shape, -1)))
    axis, axes, repeats = found
    shapes = (_without(x, axis), _without(result, axis))
    return Place(tensor, _rows(x, axis), _rows(result, axis), axes, repeats, shapes)


def _form(
    name: str, args: Any, kwargs: Mapping[str, Any]
) -> tuple[int, tuple[int, int], tuple[int, int]] | None:
    """Where the channels lie: axis of the maps, axes of the weight, groups; None for no layer known here."""
    spatial = args[1].dim() - 2
    if name == "linear" and spatial == 0:
        return -1, (1, 0), (1, 1)
    if name in ("matmul", "__matmul__", "mm") and spatial == 0 and args[0].dim() > 1:
        return -1, (0, 1), (1, 1)
    if args[0].dim() <= spatial or spatial < 1:
        return None
    if name in ("conv1d", "conv2d", "conv3d"):
        return -1 - spatial, (1, 0), (_groups(args, kwargs, 6), 1)
    if name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
        return -1 - spatial, (0, 1), (1, _groups(args, kwargs, 6))
    return None


def _without(x: Tensor, axis: int) -> tuple[int, ...]:
    sizes = list(x.shape)
    del sizes[axis]
    return tuple(sizes)


def _groups(args: Any, kwargs: Mapping[str, Any], position: int) -> int:
    return int(kwargs.get("groups", args[position] if len(args) > position else 1))


def _rows(x: Tensor, axis: int) -> Tensor:
    with torch._C.DisableTorchFunction():
        rows = x.detach().movedim(axis, -1).flatten(0, -2) if x.dim() > 1 else x.detach()[None]
        step = max(1, len(rows) // _ROWS)
        return rows[::step][:_ROWS].clone()


def differences(
    expected: list[Place], found: list[Place], kept: Kept, silenced: Kept
) -> tuple[list[float], int]:
    """Relative differences at all places that can be compared, and how many removed channels carry a signal there.

    Args:
        expected: Places of the silenced original, in the order of the calls.
        found: Places of the small network.
        kept: Positions that stay, by tensor and axis.
        silenced: Positions of consumers that read removed channels, by tensor and axis.

    Returns:
        One number for every input and output compared, and the number of places whose removed channels are
        not all zero.
    """
    gaps: list[float] = []
    moved = 0
    for a, b in zip(expected, found, strict=False):
        if a.tensor != b.tensor:
            break
        axes = kept.get(a.tensor, {})
        for side, (x, y) in enumerate(((a.reads, b.reads), (a.writes, b.writes))):
            if x is not None and y is not None and a.shapes[side] == b.shapes[side]:
                positions = _tiled(axes.get(a.axes[side]), x.shape[-1], a.repeats[side])
                x = x if positions is None else x[:, positions]
                gaps.extend([gap(x, y)] if x.shape == y.shape else [])
        gone = silenced.get(a.tensor, {}).get(a.axes[0])
        moved += a.reads is not None and _signal(a.reads, _tiled(gone, a.reads.shape[-1], a.repeats[0]))
    return gaps, moved


def _tiled(positions: IntArray | None, width: int, repeats: int) -> Tensor | None:
    """Positions within one group, for all groups of an axis."""
    if positions is None:
        return None
    per = width // repeats
    every = (np.arange(repeats)[:, None] * per + np.asarray(positions)[None]).ravel()
    return torch.as_tensor(every[every < width])


def _signal(rows: Tensor, gone: Tensor | None) -> bool:
    return gone is not None and bool((rows[:, gone.to(rows.device)] != 0).any())


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference of two tensors, relative to the spread of the first; infinite values must agree.

    Differences that rounding to the largest value explains are none.

    Example:
        >>> gap(torch.tensor([0.0, 4.0, -torch.inf]), torch.tensor([1.0, 4.0, -torch.inf]))
        0.25
    """
    if not a.numel():
        return 0.0
    finite = torch.isfinite(a)
    if not bool(torch.equal(finite, torch.isfinite(b))) or not _alike(a, b, finite):
        return float("inf")
    x, y = a[finite], b[finite]
    if not x.numel():
        return 0.0
    largest = float(x.abs().max())
    off = float((x - y).abs().max())
    if a.dtype == torch.float64 and off <= _EPS * largest:
        return off / largest if largest else 0.0
    spread = float((x.amax() - x.amin()).abs()) if not x.is_complex() else largest
    return off / (spread or largest or 1.0)


def _alike(a: Tensor, b: Tensor, finite: Tensor) -> bool:
    """Whether what is not finite is the same on both sides."""
    if bool(finite.all()):
        return True
    left, right = a[~finite], b[~finite]
    return bool(((left == right) | (left.isnan() & right.isnan())).all())
