"""What `prune` is given, checked before anything is run: one sentence for every mistake.

The command line calls the same functions, so it needs no checks of its own beyond reading text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from secateurs.checks import (
    check_allocation,
    check_callable,
    check_example,
    check_flag,
    check_has_parameters,
    check_kind,
    check_model,
    check_seed,
    check_shares,
    check_whole,
    shown,
)
from secateurs.errors import InputError, TargetError
from secateurs.graph import Graph
from secateurs.graph.capture import check_followable
from secateurs.methods import Method
from secateurs.planning import check_target

_METHOD = "a name from secateurs.methods.names() or a Method, such as secateurs.methods.l1_norm()"


def check_arguments(
    model: Any,
    example: Any,
    *,
    target: Mapping[str, Any],
    method: Any = None,
    data: Any = None,
    allocate: Any = None,
    compensate: Any = None,
    recalibrate: Any = False,
    calibrate: Any = 1,
    round_to: Any = 1,
    layers: Any = None,
    frame: Any = False,
    seed: Any = 0,
    progress: Any = None,
) -> None:
    """Check that what `prune` is given is of the right kind; see there for each.

    Args:
        model: A network with parameters.
        example: Holds a tensor.
        target: The targets by name, None where one is not asked for.
        method: A name or a `Method`.
        data: Anything that samples can be read from.
        allocate: A name or an allocation.
        compensate: A name.
        recalibrate: True or False.
        calibrate: A whole number from 1.
        round_to: A whole number from 1.
        layers: Shares by pattern.
        frame: True or False.
        seed: A whole number from 0 to 2^32 - 1.
        progress: A function.

    Raises:
        InputError: One argument is not what it has to be; says which, what it is, and what to give.

    Example:
        >>> import torch
        >>> net, x = nn.Linear(2, 2), torch.zeros(1, 2)
        >>> check_arguments(net, x, target={"macs": "0.5"})
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: macs is '0.5'; give a number.
    """
    check_model(model)
    check_followable(model)
    check_has_parameters(model)
    check_example(example)
    check_target(target)
    if method is not None:
        check_kind("method", method, (str, Method), _METHOD)
    if data is not None:
        check_data_kind(data)
    if allocate is not None:
        check_allocation(allocate, names=True)
    if compensate is not None:
        check_kind("compensate", compensate, str, "a name from secateurs.compensate.names()")
    check_flag("recalibrate", recalibrate)
    check_flag("frame", frame)
    check_whole("calibrate", calibrate)
    check_whole("round_to", round_to)
    check_shares("layers", layers)
    check_seed(seed)
    if progress is not None:
        check_callable("progress", progress, "a function of a stage, the steps done, and their number")


def check_data_kind(data: Any) -> None:
    """Make sure that an argument can be data at all, before a network is traced for it.

    Raises:
        InputError: It is text, a number, a class, a network or a function.

    Example:
        >>> check_data_kind([[1.0]])
    """
    scalar = isinstance(data, Tensor) and data.dim() == 0
    wrong = isinstance(data, (str, bytes, int, float, complex, type, nn.Module))
    readable = any(hasattr(data, name) for name in ("__iter__", "__getitem__", "__array__", "train"))
    if wrong or scalar or not readable:
        raise InputError(
            f"data is {shown(data)}; give a DataLoader, a Dataset, a tensor (b, ...), a pair (inputs, labels), or a "
            "list of batches."
        )


def check_free(graph: Graph) -> None:
    """Raise where no unit of a network may leave, whatever the target.

    Raises:
        TargetError: All groups are locked, or there is none; says why.
    """
    if graph.free:
        return
    reasons = sorted({group.locked or "" for group in graph.groups})
    why = f": every group of channels {reasons[0]}" if len(reasons) == 1 else ""
    why = why or (
        ": every group of channels is locked" if reasons else ": it has no channels that go together"
    )
    raise TargetError(
        f"model: nothing may leave this {type(graph.model).__name__}{why} (`secateurs inspect` lists them all)."
    )
