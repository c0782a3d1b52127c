"""The output folder of a run: written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from torch import Tensor, nn

from secateurs.export import OnnxFile, new_file, new_folder, write_onnx
from secateurs.report.page import page
from secateurs.report.record import Record
from secateurs.surgery import Plan, save_model
from secateurs.surgery.files import WEIGHTS

PAGE = "report.html"


def write_folder(
    out: Path, model: nn.Module, plan: Plan, record: Record, *, onnx_example: Tensor | None = None
) -> OnnxFile | None:
    """Write a run's folder: `model.safetensors`, `plan.json`, `result.json`, `report.html`, `model.onnx`.

    The folder appears at `out` by one rename after everything in it has been written (and the ONNX file
    compared with the network), so that a run that fails or is interrupted leaves nothing.

    Args:
        out: The folder to make.
        model: The smaller network.
        plan: What was removed from the unpruned network, all runs together.
        record: The numbers.
        onnx_example: One input; where it is given, `model.onnx` is written too.

    Returns:
        What was found out about the ONNX file, None where none was asked for.

    Raises:
        InputError: `out` is there already or cannot be written.
        RunError: The network cannot be written as ONNX.
    """
    with new_folder(out) as folder:
        save_model(model, plan, folder / WEIGHTS, _origin(record))
        (folder / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        (folder / "result.json").write_text(record.to_json(), encoding="utf-8")
        (folder / PAGE).write_text(page(record), encoding="utf-8")
        if onnx_example is None:
            return None
        written = write_onnx(model, onnx_example, folder / "model.onnx", seed=record.seed)
    return dataclasses.replace(written, path=out / written.path.name)


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
