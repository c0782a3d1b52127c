"""One file for a pruned network: weights and the plan, safetensors, never a pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.checks import (
    any_text,
    check_kind,
    check_model,
    file_to_read,
    file_to_write,
    map_of,
    parsed,
    shown,
)
from secateurs.errors import InputError, MismatchError, SecateursError
from secateurs.layers.tensors import named_tensors
from secateurs.surgery.plan import Plan
from secateurs.surgery.remove import remove
from secateurs.surgery.stored import Stored, opened, write_sorted

WEIGHTS = "model.safetensors"
"""The name of the file in the folders that `secateurs prune` writes."""
_PLAN = "secateurs.plan"
_SHARED = "secateurs.shared"


def save_model(
    model: nn.Module, plan: Plan, path: str | Path, extra: Mapping[str, str] | None = None
) -> None:
    """Write the weights of a pruned network, with its plan in the metadata.

    The file appears whole or not at all, and equal networks with equal plans give equal bytes. Tensors that share
    memory are written once and their names kept.

    Args:
        model: The pruned network.
        plan: All cuts from the original class to this network.
        path: A .safetensors file.
        extra: Further metadata, text by name.

    Raises:
        InputError: No network, no plan, or no place for a file.
        OSError: The disk is full.
    """
    check_model(model)
    check_kind("plan", plan, Plan, "the plan of the result")
    target = file_to_write(path)
    state, shared = _unshared(model)
    metadata = {
        **(extra or {}),
        _PLAN: plan.to_json(indent=None),
        _SHARED: json.dumps(shared),
        "format": "pt",
    }
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # the library writes files that only their owner can read
        write_sorted(state, temporary, metadata)
        temporary.chmod(mode)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_plan(path: str | Path) -> Plan:
    """The plan in a file that `save_model` wrote, or in a folder that `secateurs prune` wrote.

    Raises:
        InputError: not such a file, or a damaged one.
    """
    source = file_to_read(path, WEIGHTS)
    with opened(source) as stored:
        return _plan(stored)


def load(path: str | Path, model: nn.Module | None = None, *, into: nn.Module | None = None) -> nn.Module:
    """Build the pruned network of a file: repeat its plan on a copy of the original network, then read its weights.

    Everything in the file is checked against the network before memory is asked for.

    Args:
        path: A file that `save_model` (or `secateurs.save`) wrote, or a folder that `secateurs prune` wrote.
        model: The original network as its class builds it; it is left as it is.
        into: Another name of `model`.

    Returns:
        A new, smaller network, bit-equal to the one saved, in the mode of `model`.

    Raises:
        InputError: Not such a file, or a damaged one; no network, or two.
        MismatchError: The plan or the weights are of another network; says which layer disagrees.

    Example:
        >>> import tempfile
        >>> import secateurs as sc
        >>> build = lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> result = sc.prune(build(), torch.ones(1, 3), method="l1-norm", keep=0.5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sc.save(result, f"{folder}/small.safetensors")
        ...     small = sc.load(f"{folder}/small.safetensors", build())
        >>> small[0].out_features, torch.equal(small[2].weight, result.model[2].weight)
        (4, True)
    """
    source = file_to_read(path, WEIGHTS)
    if model is not None and into is not None:
        raise InputError("model and into are two names of one thing; give one of them.")
    original: Any = model if into is None else into
    check_model(original, "model" if into is None else "into")
    with opened(source) as stored:
        plan = _plan(stored)
        try:
            small = remove(original, plan)
        except SecateursError as error:
            raise type(error)(f"{path}: {error}") from error
        state = _state(stored, small)
    with torch.no_grad():
        try:
            small.load_state_dict(state)
        except (RuntimeError, ValueError) as error:
            raise MismatchError(
                f"{path}: its weights cannot be loaded ({shown(str(error), 160)})."
            ) from error
    return small


def _plan(stored: Stored) -> Plan:
    if _PLAN not in stored.metadata:
        raise InputError(f"{stored.path}: it holds no plan; give a {WEIGHTS} that secateurs wrote.")
    return Plan.from_json(stored.metadata[_PLAN], f"{stored.path}: plan")


def _state(stored: Stored, small: nn.Module) -> dict[str, Tensor]:
    """The tensors of a file by all their names, each of the shape and type that the network has."""
    shared, wanted = _shared(stored), dict(small.state_dict())
    names = set(stored.names())
    strange = sorted((names | set(shared)) - set(wanted))
    if strange:
        raise MismatchError(
            f"{stored.path}: it holds {shown(strange[0])}, which this network has not; build the network it is of."
        )
    for name, tensor in wanted.items():
        first = shared.get(name, name)
        if first not in names:
            raise MismatchError(
                f"{stored.path}: it holds no {shown(first)}, which this network has; build the network it is of."
            )
        if stored.shape(first) != tuple(tensor.shape):
            raise MismatchError(
                f"{stored.path}: '{name}' has shape {list(stored.shape(first))} in the file and "
                f"{list(tensor.shape)} in this network; build the network the file is of."
            )
    state = {name: stored.tensor(name) for name in names}
    state.update({twin: state[first] for twin, first in shared.items()})
    _check_types(stored.path, state, wanted)
    return state


def _shared(stored: Stored) -> dict[str, str]:
    """The names of tensors that share the memory of another, with the other's name."""
    shared: dict[str, str] = parsed(stored.metadata.get(_SHARED, "{}"), f"{stored.path}: {_SHARED}")
    try:
        map_of(any_text)(shared, "it")
    except ValueError as error:
        raise InputError(f"{stored.path}: its list of shared tensors is damaged: {error}.") from error
    return shared


def _check_types(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    for name, tensor in wanted.items():
        if state[name].dtype != tensor.dtype:
            raise MismatchError(
                f"{path}: '{name}' is {state[name].dtype} in the file and {tensor.dtype} in this network; convert the "
                "network first, as in model.to(dtype), so that no digit is lost."
            )


def _unshared(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    first: dict[int, str] = {}
    canonical = {name: first.setdefault(id(tensor), name) for name, tensor in named_tensors(model)}
    state, shared = {}, {}
    for name, tensor in model.state_dict().items():
        twin = canonical.get(name, name)
        if twin != name:
            shared[name] = twin
        else:
            state[name] = tensor.detach().cpu().contiguous().clone()
    return state, shared
