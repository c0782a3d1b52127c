"""The capture of a narrower network, made from the original's, is what torch.export gives of it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from networks import residual
from secateurs.layout import laid_out
from secateurs.network import exported
from secateurs.network.exported import ExportedNetwork, operation
from secateurs.network.interpreter import Interpreter
from secateurs.network.narrower import narrower, rebuilt
from secateurs.network.paired import PairedNetworks
from secateurs.zoo import entry


def cut(net, shape, **asked):
    """The original, as `prune` copied it, and what is left at half of its channels."""
    net = net.eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
    return net, sc.prune(net, torch.randn(1, *shape), method="l1-norm", keep=0.5, **asked).model


def same(made, fresh, chunk):
    """Assert that two captures are of the same operations, arguments, shapes, state and values."""
    assert [n.op for n in made.nodes] == [n.op for n in fresh.nodes]
    assert [n.target for n in made.nodes if n.op == "call_function"] == [
        n.target for n in fresh.nodes if n.op == "call_function"
    ]
    place = {"made": made.index, "fresh": fresh.index}
    for mine, other in zip(made.nodes, fresh.nodes, strict=True):
        a = torch.fx.node.map_arg((mine.args, mine.kwargs), lambda n: ("node", place["made"][n]))
        b = torch.fx.node.map_arg((other.args, other.kwargs), lambda n: ("node", place["fresh"][n]))
        assert a == b, (mine, other)
        x, y = mine.meta.get("val"), other.meta.get("val")
        assert (getattr(x, "shape", None), getattr(x, "dtype", None)) == (
            getattr(y, "shape", None),
            getattr(y, "dtype", None),
        )
    assert (made.state, made.inputs, made.outputs, made.fixed) == (
        fresh.state,
        fresh.inputs,
        fresh.outputs,
        fresh.fixed,
    )
    assert all(made.weights[i].data_ptr() == fresh.weights[i].data_ptr() for i in fresh.state)
    every = [i for i, n in enumerate(fresh.nodes) if n.op == "call_function"]
    values = [
        Interpreter(net).several(every, dict(zip(net.inputs, chunk, strict=True))) for net in (made, fresh)
    ]
    assert all(torch.equal(values[0][i], values[1][i]) for i in every)


def separable():
    def part(i, o):
        return [nn.Conv2d(i, i, 3, padding=1, groups=i), nn.BatchNorm2d(i), nn.ReLU6(), nn.Conv2d(i, o, 1)]

    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(inplace=True),
        *part(8, 12),
        nn.Hardswish(),
        *part(12, 6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(6, 4),
    )


class Upscaled(nn.Module):
    """Concatenation, a transposed convolution, attention over channels: nothing is told a size."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ConvTranspose2d(6, 5, 2, stride=2)
        self.gate, self.last = nn.Conv2d(6, 6, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        y = F.silu(self.one(x))
        y = y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid()
        z = F.leaky_relu(F.max_pool2d(self.two(y), 3, stride=1, padding=1))
        return self.last(torch.cat([z, F.pad(x[:, :, 1:, 1:], (1, 0, 1, 0))], 1)), y


NETWORKS = {
    **{
        name: (lambda name=name: entry(name).build(), entry(name).input_shape)
        for name in ("resnet20", "vgg16_bn", "mobilenet_v2", "digits_cnn")
    },
    "residual": (residual, (3, 8, 8)),
    "separable": (separable, (3, 8, 8)),
    "upscaled": (Upscaled, (3, 8, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_capture_made_from_the_originals_is_a_fresh_one(name):
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    net, small = cut(build(), shape)
    chunk = [laid_out(torch.randn(5, *shape))]
    with torch.no_grad():
        made = rebuilt(ExportedNetwork(net, chunk), small, chunk)
        assert made is not None
        same(made, ExportedNetwork(small, chunk), chunk)


class Told(nn.Module):
    """Two convolutions of any width, and what happens between them."""

    def __init__(self, width, how, **more):
        super().__init__()
        self.how = how
        self.one, self.two = nn.Conv2d(3, width, 1), nn.Conv2d(width, width, 1)
        for name, module in more.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.how(self, x)


def _viewed(net, x):
    return net.two(net.one(x).view(len(x), -1, 36).reshape(len(x), -1, 6, 6))


def _sliced(net, x):
    y = net.one(x)
    return y[:, : y.shape[1] // 2]


def _by_size(net, x):
    y = net.one(x)
    return net.two(y) / y.shape[1]


def _branched(net, x):
    y = net.one(x)
    return net.two(y) if y.shape[1] == 6 else net.two(y).relu()


def _dropped(net, x):
    return net.two(F.dropout(net.one(x), 0.5, training=True))


def _leaking(net, x):
    return net.two(F.rrelu(net.one(x), training=True))


def _constant(net, x):
    return net.two(net.one(x) * torch.tensor([1.0, 2.0]).repeat(net.one.out_channels // 2)[:, None, None])


def _counted(net, x):
    net.seen.add_(1)
    return net.two(net.one(x))


@pytest.mark.parametrize(
    "how",
    [_viewed, _sliced, _by_size, _branched, _dropped, _leaking, _constant],
    ids=lambda how: how.__name__,
)
def test_what_may_be_told_a_size_is_captured_anew(how):
    torch.manual_seed(0)
    net, small, chunk = Told(6, how).eval(), Told(4, how).eval(), [torch.randn(5, 3, 6, 6)]
    full = ExportedNetwork(net, chunk)
    before = torch.get_rng_state()
    assert rebuilt(full, small, chunk) is None
    assert torch.equal(before, torch.get_rng_state())
    same_operations = [operation(n) for n in ExportedNetwork(small, chunk).nodes]
    assert [operation(n) for n in narrower(full, small, chunk).nodes] == same_operations


def test_a_network_that_writes_into_a_buffer_is_captured_anew():
    net, small = Told(6, _counted).eval(), Told(4, _counted).eval()
    for one in (net, small):
        one.register_buffer("seen", torch.zeros(()))
    chunk = [torch.randn(2, 3, 6, 6)]
    full = ExportedNetwork(net, chunk)
    assert full.writes
    assert rebuilt(full, small, chunk) is None
    assert small.seen.item() == 0


def test_networks_of_other_parts_are_captured_anew():
    def plain(net, x):
        return net.three(net.two(net.one(x)))

    def built(width):
        return Told(width, plain, three=nn.Conv2d(width, width, 1)).eval()

    chunk = [torch.randn(2, 3, 6, 6)]
    full = ExportedNetwork(built(6), chunk)
    assert rebuilt(full, built(4), chunk) is not None
    others = [built(4) for _ in range(4)]
    others[0].two.bias = None
    others[1].two = nn.Sequential(others[1].two)
    others[2].three = others[2].two
    others[3].double()
    assert [rebuilt(full, other, chunk) for other in others] == [None] * 4


def test_groups_of_a_transposed_convolution_are_not_guessed():
    def built(width):
        return nn.Sequential(nn.Conv2d(3, width, 1), nn.ConvTranspose2d(width, width, 2, groups=2)).eval()

    chunk = [torch.randn(2, 3, 6, 6)]
    assert rebuilt(ExportedNetwork(built(6), chunk), built(4), chunk) is None


def test_a_pair_exports_the_original_alone(monkeypatch):
    seen = []
    once = exported.captured
    monkeypatch.setattr(exported, "captured", lambda model, chunk: seen.append(model) or once(model, chunk))
    net, small = cut(residual(), (3, 8, 8))
    pair = PairedNetworks(net, copy.deepcopy(small), [[torch.randn(4, 3, 8, 8)]])
    assert seen == [net]
    assert pair.small.net.model is not net
