"""What `verify` is given, checked before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from secateurs.checks import check_example, check_kind, check_model, check_seed, shown
from secateurs.contracts import IntArray
from secateurs.errors import InputError
from secateurs.layers.tensors import named_tensors
from secateurs.surgery.plan import Plan

Positions = Mapping[str, Mapping[int, IntArray]]


def check_verify(
    model: Any, small: Any, silenced: Any, example: Any, seed: Any, kept: Any = None
) -> tuple[Positions, Positions | None]:
    """Make sure that what `verify` is given are two networks, positions by tensor and axis, and an input.

    Returns:
        The positions `silenced` and `kept` as arrays of int64.

    Raises:
        InputError: Something is not what it has to be; where a plan is given for the positions, says how to get them
            from it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> check_verify(nn.Linear(2, 2), nn.Linear(2, 2), {"weight": {1: [0]}}, torch.zeros(1, 2), 0)
        ({'weight': {1: array([0])}}, None)
    """
    check_model(model)
    check_model(small, "small")
    check_example(example)
    check_seed(seed)
    shapes = {name: tuple(tensor.shape) for name, tensor in named_tensors(model)}
    stays = None if kept is None else positions_of("kept", kept, shapes)
    return positions_of("silenced", silenced, shapes), stays


def positions_of(name: str, given: Any, shapes: Mapping[str, tuple[int, ...]]) -> Positions:
    """Positions by tensor and axis as arrays of int64, all of which the network has.

    Raises:
        InputError: They are none.

    Example:
        >>> positions_of("silenced", {"weight": {0: (1,)}}, {"weight": (2, 3)})
        {'weight': {0: array([1])}}
    """
    function = "silenced" if name == "silenced" else "slices"
    if isinstance(given, Plan):
        raise InputError(
            f"{name} is a Plan; give graph.{function}(plan.kept), where graph is what secateurs.trace(model, example) "
            "returns."
        )
    check_kind(name, given, Mapping, f"positions by tensor and axis, as Graph.{function} makes them")
    found: dict[str, dict[int, IntArray]] = {}
    for tensor, axes in given.items():
        if tensor not in shapes:
            raise InputError(
                f"{name}: the network has no {shown(tensor)}; give positions of its own tensors."
            )
        where = f"{name}: {shown(tensor)}"
        check_kind(where, axes, Mapping, "positions by axis, as in {1: [0, 2]}")
        found[tensor] = {axis: _on_axis(where, axis, p, shapes[tensor]) for axis, p in axes.items()}
    return found


def _on_axis(where: str, axis: Any, given: Any, shape: tuple[int, ...]) -> IntArray:
    if not isinstance(axis, int) or isinstance(axis, bool) or not 0 <= axis < len(shape):
        raise InputError(f"{where} has no axis {shown(axis)}; it has {len(shape)} axes, from 0.")
    try:
        found = np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{where}: {shown(given)} holds no positions ({error}).") from error
    whole = found.ndim == 1 and (found.dtype.kind in "iu" or not found.size)
    if not whole or (found.size and not 0 <= int(found.min()) <= int(found.max()) < shape[axis]):
        raise InputError(
            f"{where}: {shown(given)} holds no positions on axis {axis}; give whole numbers from 0 to "
            f"{shape[axis] - 1}."
        )
    return found.astype(np.int64)
