"""Which widths are remarked on, and that the advice is the one that was measured."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from secateurs.export import about_widths, export_onnx
from secateurs.export.widths import MULTIPLE, odd_widths

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
RECORD = Path(__file__).parents[2] / "docs" / "results" / "int8_widths.json"


def net(*widths):
    return nn.Sequential(
        nn.Conv2d(3, widths[0], 3),
        nn.ReLU(),
        nn.Conv2d(widths[0], widths[0], 3, groups=widths[0]),
        nn.ReLU(),
        nn.Conv2d(widths[0], widths[1], 1),
        nn.ReLU(),
        nn.Conv2d(widths[1], 7, 1),
    )


@pytest.mark.parametrize(("widths", "odd"), [((8, 12), []), ((6, 12), [6]), ((6, 9), [6, 9])])
def test_widths_that_are_for_choosing_are_counted(tmp_path, widths, odd):
    export_onnx(net(*widths), torch.zeros(1, 3, 8, 8), tmp_path / "f.onnx")
    found, total = odd_widths(tmp_path / "f.onnx")
    assert sorted(found.values()) == odd
    assert total == 2  # neither the depthwise one nor that of the output
    said = about_widths(tmp_path / "f.onnx")
    if not odd:
        assert said is None
    else:
        assert said.startswith(f"{len(odd)} of 2 convolutions")
        assert "0 6" in said
        assert "--round-to 4" in said


def test_the_advice_is_what_was_measured():
    found = json.loads(RECORD.read_text())
    assert found["advised"] == MULTIPLE
    for kind in found["kinds"].values():
        times = {int(width): time for width, time in kind["milliseconds"].items()}
        pairs = [
            (time, times[-(-width // MULTIPLE) * MULTIPLE])
            for width, time in times.items()
            if width % MULTIPLE
        ]
        ratios = sorted(wider / time for time, wider in pairs)
        (row,) = (row for row in kind["gains"] if row["multiple"] == MULTIPLE)
        assert row["median"] == pytest.approx((ratios[14] + ratios[15]) / 2, rel=1e-3)  # of 30
        assert row["median"] < 0.97
