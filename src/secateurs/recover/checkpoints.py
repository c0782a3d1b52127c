"""The state of a training after an epoch, in one safetensors file that takes its place by one rename."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from secateurs.checks import list_of, parsed, shown
from secateurs.errors import InputError, RunError
from secateurs.export import new_file
from secateurs.recover.progress import EPOCH, Epoch, as_csv
from secateurs.surgery.stored import opened, write_sorted

CHECKPOINT, LOG = "checkpoint.safetensors", "log.csv"
_STATE = "secateurs.tuning"
_EPOCHS = list_of(EPOCH)


@dataclass(frozen=True)
class State:
    """A training after some epochs: weights, the optimiser's state, the best weights so far, and the numbers.

    Attributes:
        epochs: What is known of them.
        best: Number of the best epoch, 0 for none.
        model: Tensors of the network by name.
        kept: Those of the best epoch.
        optimizer: Its `state_dict`.
        scaler: The `state_dict` of the scaling of mixed precision, empty without.
    """

    epochs: tuple[Epoch, ...]
    best: int
    model: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any] = field(default_factory=dict)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network, copied where they lie."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def write(folder: Path, state: State, key: str) -> None:
    """Put a checkpoint and the log in their places; an earlier checkpoint stays until the new one is whole.

    Args:
        folder: Made where it is missing.
        state: What to write.
        key: What the training depends on; `read` refuses a checkpoint of another.

    Raises:
        RunError: The disk is full, or the folder cannot be written to; says which checkpoint is kept.
    """
    tensors, plain = _packed(state.optimizer)
    tensors.update({f"model.{name}": tensor for name, tensor in state.model.items()})
    if state.best != len(state.epochs):
        tensors.update({f"kept.{name}": tensor for name, tensor in state.kept.items()})
    written = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = {
        "key": key,
        "best": state.best,
        "epochs": [dataclasses.asdict(epoch) for epoch in state.epochs],
        "optimizer": plain,
        "scaler": dict(state.scaler),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(folder / CHECKPOINT) as temporary:
            write_sorted(written, temporary, {_STATE: json.dumps(text), "format": "pt"})
        with new_file(folder / LOG) as temporary:
            temporary.write_text(as_csv(state.epochs), encoding="utf-8")
    except (OSError, InputError) as problem:
        raise RunError(_unwritten(folder, len(state.epochs), problem)) from problem


def _unwritten(folder: Path, epoch: int, problem: Exception) -> str:
    why = getattr(problem, "strerror", None) or str(problem)
    left = (
        f"that of an earlier epoch is kept in {folder}"
        if (folder / CHECKPOINT).exists()
        else "there is none yet"
    )
    return (
        f"{folder}: the checkpoint of epoch {epoch} cannot be written ({why}); {left}: make room and run the same "
        "command again"
    )


def read(folder: Path, key: str) -> State | None:
    """The checkpoint in a folder; None where there is none.

    Raises:
        InputError: It is damaged, or of another training.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    with opened(path) as stored:
        if _STATE not in stored.metadata:
            raise InputError(f"{path}: is no checkpoint of a training; remove it, or choose another folder.")
        text = parsed(stored.metadata[_STATE], str(path))
        if not isinstance(text, dict) or text.get("key") != key:
            raise InputError(
                f"{path}: is of a training with other settings, data or weights; give the same ones to go on, or "
                "remove the folder to begin anew."
            )
        tensors = {name: stored.tensor(name) for name in stored.names()}
    try:
        _EPOCHS(text["epochs"], "epochs")
        epochs = tuple(Epoch(**epoch) for epoch in text["epochs"])
        optimizer = _unpacked(tensors, text["optimizer"])
        model, kept = _part(tensors, "model."), _part(tensors, "kept.")
        return State(epochs, int(text["best"]), model, kept or model, optimizer, text["scaler"])
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{path}: it is damaged ({shown(str(problem), 120)}); remove the folder."
        ) from problem


def newest(folder: Path) -> Path | None:
    """The checkpoint that was written last in the folder of a training, or in those of its steps; None for none.

    Example:
        >>> newest(Path("nowhere")) is None
        True
    """
    found = [path for path in (folder / CHECKPOINT, *folder.glob(f"step-*/{CHECKPOINT}")) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def _packed(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as tensors by name, and the rest of it as JSON holds it."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for number, values in state["state"].items():
        plain[str(number)] = {k: v for k, v in values.items() if not isinstance(v, Tensor)}
        tensors.update({f"optimizer.{number}.{k}": v for k, v in values.items() if isinstance(v, Tensor)})
    return tensors, {"state": plain, "param_groups": state["param_groups"]}


def _unpacked(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(k): dict(v) for k, v in plain["state"].items()}
    for name, tensor in _part(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        state[int(number)][key] = tensor
    groups = [
        {k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in plain["param_groups"]
    ]
    return {"state": state, "param_groups": groups}
