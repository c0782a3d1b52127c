"""ONNX files equal their networks at any batch size, or are not written."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from secateurs.errors import InputError, RunError, VerificationError
from secateurs.export import export_onnx
from secateurs.export import onnx as onnx_export

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class TwoHeads(nn.Module):
    """Two inputs, a dictionary of outputs, batch statistics that would differ in training mode."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(2, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        h = self.norm(self.left(a) + self.right(b)).relu()
        return {"map": h, "score": h.mean((2, 3))}


class FixedBatch(nn.Module):
    """Code that no batch size but two can follow."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, 3, 16).flatten(1)


def test_the_file_equals_the_network_at_a_batch_size_never_tried(tmp_path: Path):
    torch.manual_seed(0)
    net = TwoHeads().train()
    written = export_onnx(net, (torch.zeros(1, 3, 6, 7), torch.zeros(1, 2, 6, 7)), tmp_path / "net.onnx")
    assert net.training, "the network is the user's: its mode stays"
    assert written.max_rel_diff < 1e-5
    a, b = torch.randn(7, 3, 6, 7), torch.randn(7, 2, 6, 7)
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    got = session.run(None, dict(zip(written.inputs, (a.numpy(), b.numpy()), strict=True)))
    expected = net.eval()(a, b)
    np.testing.assert_allclose(got[0], expected["map"].detach(), atol=1e-5)
    np.testing.assert_allclose(got[1], expected["score"].detach(), atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_a_fixed_batch_size_is_refused_in_one_line_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(RunError, match="free batch size") as caught:
        export_onnx(FixedBatch(), torch.zeros(1, 3, 4, 4), tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "net.onnx").write_bytes(b"old")
    monkeypatch.setattr(onnx_export, "_difference", lambda *_: 0.5)
    with pytest.raises(VerificationError, match="differs from the network"):
        export_onnx(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 4, 4), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"old"


def test_not_a_number_counts_as_a_difference():
    bad = torch.tensor([1.0, float("nan")])
    assert onnx_export._relative(bad, torch.ones(2)) == float("inf")
    assert onnx_export._relative(torch.ones(2), bad) == float("inf")
    assert onnx_export._relative(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 5.0])) == pytest.approx(0.2)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'pip install "secateurs\[onnx\]"'):
        export_onnx(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 4, 4), tmp_path / "net.onnx")
