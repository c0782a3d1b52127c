import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateurs.network.blocks import layers, weights_of
from secateurs.network.exported import ExportedNetwork
from secateurs.network.interpreter import Interpreter
from secateurs.network.tangent import Linearised


class Everything(nn.Module):
    """Every rule, and operations that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.dw, self.m = nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.BatchNorm2d(6, affine=False)
        self.b = nn.Conv2d(6, 6, 1)
        self.t = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.c, self.d = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x):
        x = F.relu(self.n(self.a(x)))
        x = F.relu6(self.m(self.dw(x))) + F.relu(self.b(x[:, :, 1:-1, 1:-1])) + 0.5
        x = F.avg_pool2d(F.silu(self.t(x)), 2).mean((2, 3))
        return self.d(F.gelu(self.c(x)))


@pytest.mark.parametrize("moved", [("a", "n", "dw", "b", "t", "c", "d"), ("a",), ("b", "d"), ("n",)])
def test_products_with_the_jacobian_equal_forward_mode(moved):
    torch.manual_seed(0)
    model = Everything().double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    model.eval()
    x = torch.randn(4, 3, 7, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    net = ExportedNetwork(model, [x])
    places = {
        place: name
        for layer in layers(net)
        for name, place in zip((layer.name, layer.name), weights_of(net, layer), strict=True)
        if place is not None and (layer.name in moved or (layer.name == "a" and "n" in moved))
    }
    leaves = {place: net.weights[place].clone() for place in places}
    moves = {place: torch.randn_like(leaf) for place, leaf in leaves.items()}
    part = Linearised(Interpreter(net), net.outputs[0], {net.inputs[0]: x}, leaves)
    names = {net.state[place]: move for place, move in moves.items()}
    given = {**dict(model.named_parameters()), **dict(model.named_buffers())}

    def outputs(*values):
        return torch.func.functional_call(model, {**given, **dict(zip(names, values, strict=True))}, (x,))

    wanted = torch.func.jvp(outputs, tuple(given[n].detach() for n in names), tuple(names.values()))
    torch.testing.assert_close(part.output, wanted[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(part.forth(moves), wanted[1], rtol=1e-9, atol=1e-11)


def test_what_does_not_move_is_zero():
    net = ExportedNetwork(nn.Linear(2, 3).eval(), [torch.zeros(4, 2)])
    part = Linearised(Interpreter(net), net.outputs[0], {net.inputs[0]: torch.ones(4, 2)}, {})
    assert torch.equal(part.forth({}), torch.zeros(4, 3))
