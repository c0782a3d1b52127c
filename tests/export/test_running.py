"""ONNX files in the place of a network, against PyTorch and numbers by hand."""

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.errors import InputError
from secateurs.export import OnnxNetwork, agreement, export_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval()


def test_a_file_scores_as_its_network(tmp_path, net):
    x, y = torch.randn(50, 3, 2, 2), torch.randint(4, (50,))
    export_onnx(net, x, tmp_path / "f.onnx")
    network = OnnxNetwork(tmp_path / "f.onnx")
    assert network.sample_shape == (3, 2, 2)
    torch.testing.assert_close(network(x), net(x).detach(), atol=1e-5, rtol=1e-5)
    assert sc.evaluate(network, (x, y)).value == sc.evaluate(net, (x, y)).value


def test_a_fixed_batch_size_is_served_in_parts(tmp_path):
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    make = onnx.helper
    slot, out = (
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4, size])
        for name, size in (("x", 2), ("z", 3))
    )
    held = onnx.numpy_helper.from_array(weight, "w")
    graph = make.make_graph([make.make_node("MatMul", ["x", "w"], ["z"])], "g", [slot], [out], [held])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "four.onnx"))
    x = np.random.RandomState(0).standard_normal((10, 2)).astype(np.float32)
    np.testing.assert_allclose(OnnxNetwork(tmp_path / "four.onnx").scores(x), x @ weight, rtol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            (torch.zeros(5, 3, 2, 3),),
            r"takes inputs of shape \(any, 3, 2, 2\), the data have \(any, 3, 2, 3\)",
        ),
        ((torch.zeros(5, 12),), r"the data have \(any, 12\)"),
        ((torch.zeros(5, 3, 2, 2), torch.zeros(5, 1)), r"the data have \(any, 3, 2, 2\), \(any, 1\)"),
    ],
)
def test_inputs_of_another_shape_are_named(tmp_path, net, inputs, said):
    export_onnx(net, torch.zeros(1, 3, 2, 2), tmp_path / "f.onnx")
    with pytest.raises(InputError, match=said):
        OnnxNetwork(tmp_path / "f.onnx")(*inputs)


def test_agreement_is_that_of_every_answer():
    random = np.random.RandomState(0)
    first, second = random.standard_normal((2, 130, 5)).astype(np.float32)
    x = np.concatenate([first, second], axis=1)

    class Part(nn.Module):
        def __init__(self, place):
            super().__init__()
            self.place = place

        def forward(self, x):
            return (x[:, self.place : self.place + 5], "more")

    one = np.mean([a.argmax() == b.argmax() for a, b in zip(first, second, strict=True)])
    each = np.mean(
        [
            np.mean([(p > 0) == (q > 0) for p, q in zip(a, b, strict=True)])
            for a, b in zip(first, second, strict=True)
        ]
    )
    networks = (Part(0), Part(5))
    classes, labels = random.randint(5, size=130), random.randint(2, size=(130, 5))
    for data in (torch.from_numpy(x), (torch.from_numpy(x), torch.from_numpy(classes))):
        assert agreement(*networks, data) == pytest.approx(one)
    assert agreement(*networks, (torch.from_numpy(x), torch.from_numpy(labels))) == pytest.approx(each)
    assert abs(one - each) > 0.1


def test_agreement_of_nothing_is_no_number():
    with pytest.raises(InputError, match="no sample"):
        agreement(nn.Identity(), nn.Identity(), torch.zeros(0, 3))
    with pytest.raises(InputError, match=r"\(4, 3\) and \(4, 2\)"):
        agreement(nn.Identity(), nn.Linear(3, 2), torch.zeros(4, 3))
