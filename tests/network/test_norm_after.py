"""One meaning of "the batch norm after a layer": by the captured shapes and by the exported network alike."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs.errors import InputError
from secateurs.network.blocks import batch_norm_after, blocks, layers, norm_name
from secateurs.network.exported import ExportedNetwork

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))
from checks import randomise
from patterns import PATTERNS


@pytest.mark.parametrize("pattern", PATTERNS, ids=[p.name for p in PATTERNS])
def test_graph_and_exported_network_name_the_same_norms(pattern):
    torch.manual_seed(0)
    model = randomise(pattern.build()).eval()
    x = pattern.example if isinstance(pattern.example, tuple) else (pattern.example,)
    if not all(isinstance(t, torch.Tensor) for t in x):
        pytest.skip("its inputs are no plain tensors")
    graph = sc.trace(model, pattern.example)
    try:
        net = ExportedNetwork(graph.model.eval(), x)
    except InputError:
        pytest.skip("torch.export does not capture it")
    for layer in layers(net):
        assert graph.norms.get(f"{layer.name}.weight") == norm_name(net, layer), layer.name


class Net(nn.Module):
    """A norm behind a sum, behind two convolutions, behind one that something else reads, and behind one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 1) for _ in range(4))
        self.sum, self.read, self.alone = (nn.BatchNorm2d(4) for _ in range(3))

    def forward(self, x):
        x = F.relu(self.sum(self.a(x) + self.b(x)))
        y = self.c(x)
        x = self.read(y) + y
        return F.relu(self.alone(self.d(x)))


def test_only_the_norm_that_alone_reads_a_layer_is_its_own():
    model, x = Net().eval(), torch.randn(2, 4, 3, 3)
    assert sc.trace(model, x).norms == {"d.weight": "alone"}
    net = ExportedNetwork(model, (x,))
    assert {la.name: norm_name(net, la) for la in layers(net)} == {
        "a": None,
        "b": None,
        "c": None,
        "d": "alone",
    }


def test_a_block_ends_behind_its_sum_and_activation():
    model, x = Net().eval(), torch.randn(2, 4, 3, 3)
    net = ExportedNetwork(model, (x,))
    first, second, third, fourth = blocks(net)
    names = [str(node) for node in net.nodes]
    assert (first.residual, second.residual) == (second.layer.node, first.layer.node)
    assert names[first.total].startswith("add")
    assert not first.rectified  # a norm lies between
    assert third.residual is None
    assert batch_norm_after(net, third.layer.node) is None
    assert (names[fourth.total], names[fourth.end], fourth.rectified) == ("batch_norm_2", "relu_1", True)
