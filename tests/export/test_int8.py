"""The int8 file, against whole numbers worked out by numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from secateurs.errors import InputError
from secateurs.export import Int8Options, export_onnx, int8_scorer, quantise_onnx
from secateurs.export.equalise import factors, links
from secateurs.export.mixed import relative_error
from secateurs.export.running import OnnxNetwork

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime", minversion="1.27")


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
    got = score(x.numpy())
    # The scores stay in float; the bias is a multiple of both scales.
    assert np.abs(got - expected).max() <= 0.51 * (s * t).max() + 1e-6
    assert np.abs(got - net(x).detach().numpy()).max() > 0


def uneven(spread):
    """A separable network whose channels have ranges far apart, and which computes the same for every spread."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip
    factor = spread ** torch.linspace(-1, 1, 16)
    with torch.no_grad():
        for writes, reads in ((0, 2), (2, 4), (4, 8)):
            net[writes].weight.mul_(factor.view(-1, 1, 1, 1))
            net[writes].bias.mul_(factor)
            along = (
                factor.view(-1, 1, 1, 1)
                if reads == 2
                else factor.view(1, -1, *[1] * (net[reads].weight.dim() - 2))
            )
            net[reads].weight.div_(along)
    return net


def test_like_ranges_change_nothing_in_float_and_serve_every_channel(tmp_path):
    x = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    errors = {}
    for spread in (1.0, 30.0):
        net = uneven(spread)
        export_onnx(net, x[:1], tmp_path / f"{spread}.onnx")
        for equal in (False, True):
            path = tmp_path / f"{spread}{equal}.onnx"
            written = quantise_onnx(tmp_path / f"{spread}.onnx", x, path, Int8Options(equalise=equal))
            assert written.equalised == (3 if equal else 0)
            made = OnnxNetwork(path)(x)
            errors[spread, equal] = float((made - net(x)).norm() / net(x).norm())
    assert errors[30.0, True] < 0.2 * errors[30.0, False]
    assert errors[30.0, True] < 2 * errors[1.0, True]


def test_layers_stay_in_float_until_the_error_is_small_enough(tmp_path):
    x, net = torch.randn(32, 3, 12, 12, generator=torch.Generator().manual_seed(1)), uneven(30.0)
    export_onnx(net, x[:1], tmp_path / "f.onnx")
    plain = Int8Options(equalise=False)
    whole = quantise_onnx(tmp_path / "f.onnx", x, tmp_path / "all.onnx", plain)
    error = relative_error(OnnxNetwork(whole.path)(x).numpy(), net(x).detach().numpy())
    asked = Int8Options(equalise=False, most_error=0.5 * error)
    mixed = quantise_onnx(tmp_path / "f.onnx", x, tmp_path / "mixed.onnx", asked)
    found = relative_error(OnnxNetwork(mixed.path)(x).numpy(), net(x).detach().numpy())
    assert found <= 0.5 * error
    assert 0 < len(mixed.left_float) < 4
    with pytest.raises(InputError, match="most_error is 2"):
        Int8Options(most_error=2)


def test_factors_are_those_by_hand():
    reader = np.array([[4.0, 1.0], [-8.0, 0.5]])  # reads channels of 2 and 8 with at most 8 and 1
    expected = np.sqrt([2 / 8, 8 / 1])
    np.testing.assert_allclose(factors(np.array([2.0, 8.0]), reader, 1), expected / expected.max())
    alone = factors(np.array([2.0, 8.0]), np.ones((2, 1, 3, 3)), 0)
    np.testing.assert_allclose(alone, [0.25, 1.0])


def test_only_channels_that_one_layer_reads_are_scaled(tmp_path):
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))

        def forward(self, x):
            y = torch.relu(self.a(x))
            return self.c(torch.relu(self.b(y)) + y)

    export_onnx(Shortcut(), torch.randn(1, 4, 6, 6), tmp_path / "f.onnx")
    assert links(onnx.shape_inference.infer_shapes(onnx.load(str(tmp_path / "f.onnx")))) == []


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


class MeanOverChannels(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv1d(8, 4, 1)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)).mean(1)).flatten(1)


def odd(kind):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    with torch.no_grad():
        if kind == "reader of zeros":
            net[2].weight.zero_()
        else:
            for layer in (net[0], net[2]):  # the exporter stores equal biases once
                layer.bias.copy_(torch.linspace(-1, 1, 8))
    return net


@pytest.mark.parametrize("kind", ["reader of zeros", "one bias for two layers", "mean over channels"])
def test_what_cannot_be_equalised_is_left_alone(tmp_path, kind):
    torch.manual_seed(0)
    net, x = MeanOverChannels() if kind == "mean over channels" else odd(kind), torch.randn(64, 3, 8, 8)
    export_onnx(net.eval(), x[:1], tmp_path / "f.onnx")
    quantise_onnx(tmp_path / "f.onnx", x, tmp_path / "q.onnx")
    with torch.no_grad():
        wanted, found = net(x), OnnxNetwork(tmp_path / "q.onnx")(x)
    assert float((wanted - found).norm() / wanted.norm()) < 0.05
