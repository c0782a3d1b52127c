"""The int8 file, against whole numbers worked out by numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from secateurs.errors import InputError
from secateurs.export import Int8Options, export_onnx, int8_scorer, quantise_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_the_file_computes_what_its_scales_say(tmp_path):
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(6, 5)), torch.randn(64, 6)
    export_onnx(net, x, tmp_path / "f.onnx")
    score = int8_scorer(net, x[:1], x, tmp_path / "q.onnx", Int8Options(reduce_range=True))
    graph = onnx.load(str(tmp_path / "q.onnx")).graph
    held = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    gemm = next(node for node in graph.node if node.op_type == "Gemm")

    def parts(name):
        node = makers[name]
        return node, held[node.input[1]].astype(float), held[node.input[2]].astype(float)

    _, s, z = parts(gemm.input[0])
    q = np.clip(np.round(x.numpy() / s) + z, 0, 255)
    node, t, _ = parts(gemm.input[1])
    weight = held[node.input[0]].astype(float)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    shape = [1, 1]
    shape[axis] = -1
    weight = weight * (t.reshape(shape) if t.ndim else t)
    trans = next((a.i for a in gemm.attribute if a.name == "transB"), 0)
    expected = s * (q - z) @ (weight.T if trans else weight) + net[0].bias.detach().numpy()
    out = next(n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == gemm.output[0])
    step = float(held[out.input[1]])
    got = score(x.numpy())
    assert np.abs(got - expected).max() <= 1.5 * step
    assert np.abs(got - net(x).detach().numpy()).max() > 0


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_batches_make_no_difference_to_minmax_and_every_method_writes(tmp_path, method):
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.randn(40, 3, 8, 8)
    export_onnx(net, x, tmp_path / "f.onnx")
    for size in (40, 7):
        options = Int8Options(method=method, batch_size=size)
        written = quantise_onnx(tmp_path / "f.onnx", x, tmp_path / f"{size}.onnx", options)
        assert (written.samples, written.quantised, written.left_float) == (40, 1, ())
    if method == "minmax":
        assert (tmp_path / "40.onnx").read_bytes() == (tmp_path / "7.onnx").read_bytes()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (torch.zeros(0, 3, 8, 8), "no sample"),
        (torch.zeros(4, 2, 8, 8), "the network takes"),
        (torch.full((4, 3, 8, 8), float("nan")), "NaN"),
    ],
)
def test_bad_calibration_data_leave_nothing(tmp_path, data, said):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    export_onnx(net, torch.zeros(1, 3, 8, 8), tmp_path / "f.onnx")
    with pytest.raises(InputError, match=said):
        quantise_onnx(tmp_path / "f.onnx", data, tmp_path / "q.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["f.onnx"]
