"""The output folder of a run: written whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from secateurs.errors import InputError, RunError, VerificationError
from secateurs.export import OnnxFile, export_onnx, new_file, new_folder
from secateurs.report.page import page
from secateurs.report.record import Record
from secateurs.surgery import Plan, load, save_model
from secateurs.surgery.files import WEIGHTS
from secateurs.zoo import resolve_model

PAGE = "report.html"
_FILES = {WEIGHTS, "plan.json", "result.json", PAGE, "model.onnx", "log.csv"}


def write_folder(
    out: Path,
    model: nn.Module,
    plan: Plan,
    record: Record,
    *,
    onnx_example: Tensor | tuple[Tensor, ...] | None = None,
    replace: bool = False,
    beside: Mapping[str, str] | None = None,
) -> OnnxFile | None:
    """Write a run's folder: `model.safetensors`, `plan.json`, `result.json`, `report.html`, `model.onnx`.

    The folder appears at `out` by one rename after everything in it has been written, the weights have been loaded
    anew and found bit-equal to the network (and the ONNX file compared with it), so that a run that fails or is
    interrupted leaves nothing. Where `out` cannot be written at the end of a run, the folder is written among the
    temporary files instead, so that the finished network is not lost.

    Args:
        out: The folder to make.
        model: The smaller network.
        plan: What was removed from the unpruned network, all runs together.
        record: The numbers.
        onnx_example: One input, or a tuple of several; where it is given, `model.onnx` is written too.
        replace: Whether an earlier folder of ours at `out` is replaced.
        beside: Text of further files by name.

    Returns:
        What was found out about the ONNX file, None where none was asked for.

    Raises:
        RunError: `out` cannot be written; says why, and where the finished network lies. Or the network cannot be
            written as ONNX.
        VerificationError: What was saved is not the network in memory.
    """
    try:
        return _written(out, model, plan, record, onnx_example, replace, beside or {})
    except (OSError, SafetensorError, InputError) as problem:
        raise RunError(_rescued(out, model, plan, record, problem)) from problem


def _written(
    out: Path,
    model: nn.Module,
    plan: Plan,
    record: Record,
    onnx_example: Tensor | tuple[Tensor, ...] | None,
    replace: bool,
    beside: Mapping[str, str],
) -> OnnxFile | None:
    with new_folder(out, replaces=is_ours if replace else None) as folder:
        _fill(folder, model, plan, record)
        for name, text in beside.items():
            (folder / name).write_text(text, encoding="utf-8")
        if onnx_example is None:
            return None
        written = export_onnx(model, onnx_example, folder / "model.onnx", seed=record.seed)
    return dataclasses.replace(written, path=out / written.path.name)


def _fill(folder: Path, model: nn.Module, plan: Plan, record: Record) -> None:
    save_model(model, plan, folder / WEIGHTS, _origin(record))
    (folder / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    (folder / "result.json").write_text(record.to_json(), encoding="utf-8")
    (folder / PAGE).write_text(page(record), encoding="utf-8")
    check_saved(folder / WEIGHTS, model, record.model)


def check_saved(path: Path, model: nn.Module, spec: str) -> None:
    """Load saved weights into a newly built network, and compare them bit by bit with the network in memory.

    Args:
        path: What `save_model` wrote.
        model: The network that was saved.
        spec: How to build the unpruned network, as `resolve_model` takes it.

    Raises:
        VerificationError: A tensor differs, or is missing on one side.
    """
    try:
        with torch.random.fork_rng(devices=()):
            again = load(path, resolve_model(spec)).state_dict()
    except InputError as problem:
        raise VerificationError(
            f"{path.name}: what was saved does not load into the network that {spec} builds anew ({problem}); nothing "
            "was written"
        ) from problem
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    wrong = [name for name in state if name not in again or not _same_bits(state[name], again[name].cpu())]
    wrong += [name for name in again if name not in state]
    if wrong:
        raise VerificationError(
            f"{path.name}: loaded anew, {len(wrong)} tensors are not those of the network in memory, the first of "
            f"them {wrong[0]}; nothing was written, please report this network"
        )


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """NaN equals NaN, and 0 is not -0."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.numel() == 0:
        return True
    return torch.equal(*(x.contiguous().reshape(-1).view(torch.uint8) for x in (one, other)))


def is_ours(folder: Path) -> bool:
    """Whether a folder holds an output of secateurs and nothing else, so that replacing it loses nothing more."""
    names = {path.name for path in folder.iterdir()}
    return {WEIGHTS, "plan.json", "result.json"} <= names <= _FILES


def _rescued(out: Path, model: nn.Module, plan: Plan, record: Record, problem: Exception) -> str:
    """Write the folder among the temporary files, and say what became of it."""
    size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    why = f"{out}: {_reason(problem)} (the network takes {size / 1e6:.1f} MB"
    above = next((folder for folder in out.absolute().parents if folder.is_dir()), None)
    why += f", {shutil.disk_usage(above).free / 1e6:.1f} MB are free there)" if above else ")"
    place = None
    try:
        place = Path(tempfile.mkdtemp(prefix="secateurs-"))
        _fill(place, model, plan, record)
    except (OSError, SafetensorError) as second:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        return f"{why}, and {tempfile.gettempdir()} cannot take it either ({_reason(second)}); nothing was written"
    return f"{why}; the finished network is in {place} instead: move it to its place once there is room"


def _reason(problem: Exception) -> str:
    """Why something could not be written; safetensors tells the system's reason in its text alone."""
    full = (errno.ENOSPC, errno.EDQUOT)
    if any(f"os error {code}" in str(problem) for code in full) or getattr(problem, "errno", None) in full:
        return "the disk is full"
    return getattr(problem, "strerror", None) or str(problem)


def write_page(folder: Path) -> Path:
    """Write `report.html` anew from the `result.json` beside it.

    Raises:
        InputError: The folder holds no result.
    """
    record = Record.read(folder)
    with new_file(folder / PAGE) as temporary:
        temporary.write_text(page(record), encoding="utf-8")
    return folder / PAGE


def _origin(record: Record) -> dict[str, str]:
    """How to build the unpruned network, for those who have the safetensors file alone."""
    return {
        "model": record.model,
        "input_shape": json.dumps(record.input_shape),
        "normalisation": json.dumps(record.normalisation),
        "data": record.data or "",
    }
