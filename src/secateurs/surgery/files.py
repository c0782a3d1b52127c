"""One file for a pruned network: weights and the plan, safetensors, never a pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from secateurs.errors import InputError, MismatchError
from secateurs.surgery.cut import named_tensors
from secateurs.surgery.plan import Plan
from secateurs.surgery.remove import remove

_PLAN = "secateurs.plan"


def save_model(
    model: nn.Module, plan: Plan, path: str | Path, extra: Mapping[str, str] | None = None
) -> None:
    """Write the weights of a pruned network, with its plan in the metadata.

    The file appears whole or not at all. Tensors that share memory are written once and their names kept.

    Args:
        model: The pruned network.
        plan: All cuts from the original class to this network.
        path: A .safetensors file.
        extra: Further metadata, text by name.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"{path}: there is no folder {target.parent}; make it first.")
    state, shared = _unshared(model)
    metadata = {
        **(extra or {}),
        _PLAN: plan.to_json(),
        "secateurs.shared": json.dumps(shared),
        "format": "pt",
    }
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        save_file(state, temporary, metadata=metadata)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # the library writes files that only their owner can read
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_plan(path: str | Path) -> Plan:
    """The plan in a file that `save_model` wrote.

    Raises:
        InputError: not such a file, or a damaged one.
    """
    return Plan.from_json(_metadata(path)[_PLAN])


def load(path: str | Path, into: nn.Module) -> nn.Module:
    """The pruned network of a file: the plan is replayed on a freshly built original, then the weights go in.

    Args:
        path: A file that `save_model` (or `secateurs.save`) wrote.
        into: The original network as its class builds it; it is left as it is.

    Returns:
        The smaller network, bit-equal to the one saved, in the mode of `into`.

    Raises:
        InputError: not such a file, or a damaged one.
        MismatchError: the plan or the weights are of another network; says which layer disagrees.
    """
    metadata = _metadata(path)
    try:
        small = remove(into, Plan.from_json(metadata[_PLAN]))
        with safe_open(str(path), framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except MismatchError as error:
        raise MismatchError(f"{path}: {error}") from error
    try:
        shared = json.loads(metadata.get("secateurs.shared", "{}"))
        state.update({twin: state[first] for twin, first in shared.items()})
    except (ValueError, AttributeError, KeyError) as error:
        raise InputError(f"{path}: its list of shared tensors is damaged ({error}).") from error
    _fill(small, state, path)
    return small


def _fill(small: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    wanted = dict(small.state_dict())
    for name, tensor in wanted.items():
        if name not in state:
            raise MismatchError(
                f"{path}: it holds no '{name}', which this network has; build the network it is of."
            )
        if state[name].shape != tensor.shape:
            raise MismatchError(
                f"{path}: '{name}' has shape {list(state[name].shape)} in the file and {list(tensor.shape)} in this "
                "network; build the network the file is of."
            )
        if state[name].dtype != tensor.dtype:
            raise MismatchError(
                f"{path}: '{name}' is {state[name].dtype} in the file and {tensor.dtype} in this network; convert the "
                "network first, as in model.to(dtype), so that no digit is lost."
            )
    strange = sorted(set(state) - set(wanted))
    if strange:
        raise MismatchError(
            f"{path}: it holds '{strange[0]}', which this network has not; build the network it is of."
        )
    with torch.no_grad():
        small.load_state_dict(state)


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


def _metadata(path: str | Path) -> dict[str, str]:
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{path}: there is no such file; give a model.safetensors that secateurs wrote.")
    try:
        with safe_open(str(source), framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: it cannot be read as safetensors ({error}); it may be truncated or a pickle, which is never read."
        ) from error
    if _PLAN not in metadata:
        raise InputError(f"{path}: it holds no plan; give a model.safetensors that secateurs wrote.")
    return dict(metadata)
