"""What `prune` is given, checked before anything is run: one sentence for every mistake.

The command line calls the same functions, so it needs no checks of its own beyond reading text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from torch import Tensor, nn

from secateurs import allocate as allocations
from secateurs import compensate as repairs
from secateurs import methods
from secateurs.checks import (
    check_allocation,
    check_effort,
    check_example,
    check_flag,
    check_has_parameters,
    check_model,
    check_multiple,
    check_seed,
    check_shares,
    check_whole,
    shown,
)
from secateurs.config import GOALS, Kind, PruneConfig
from secateurs.errors import InputError, TargetError
from secateurs.graph import Graph
from secateurs.graph.capture import check_followable
from secateurs.graph.trace import check_normalised
from secateurs.meters.named import metric_of
from secateurs.targets.base import Target
from secateurs.targets.given import one_target

Check: TypeAlias = Callable[[str, Any], object]


def check_network(model: Any, example: Any) -> None:
    """Check that a model is a network with parameters that can be followed, and that an example holds a tensor.

    Raises:
        InputError: One is not; says which, what it is, and what to give.

    Example:
        >>> check_network(nn.Linear, [[1.0]])
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: model is the class Linear; give an object of it, as in model=Linear(...).
    """
    check_model(model)
    check_followable(model)
    check_has_parameters(model)
    check_example(example)


def _unless_none(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def _method(name: str, value: Any) -> None:
    methods.get(value)


def _allocation(name: str, value: Any) -> None:
    check_allocation(value, names=True)
    allocations.get(value)


def _repair(name: str, value: Any) -> None:
    repairs.get(value)


def _metric(name: str, value: Any) -> None:
    metric_of(value)


def _apart(name: str, value: Any) -> None:
    """Targets are checked together: not all go with all."""


CHECKS: Mapping[Kind, Check] = {
    "method": _unless_none(_method),
    "goal": _apart,
    "target": _apart,
    "allocation": _unless_none(_allocation),
    "repair": _unless_none(_repair),
    "count": check_whole,
    "multiple": check_multiple,
    "shares": check_shares,
    "normalised": check_normalised,
    "flag": check_flag,
    "choice": _unless_none(check_flag),
    "metric": _metric,
    "effort": check_effort,
    "seed": lambda name, value: check_seed(value, name),
}


def check_config(config: PruneConfig) -> Target | None:
    """Check every setting of a config, and return its target.

    Raises:
        InputError: A setting is not what it has to be; says which, what it is, and what to give.

    Example:
        >>> check_config(PruneConfig(keep="0.5"))
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: keep is '0.5'; give a number.
    """
    for one in fields(PruneConfig):
        CHECKS[one.metadata["option"].kind](one.name, getattr(config, one.name))
    return one_target({name: getattr(config, name) for name in (*GOALS, "target")})


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
