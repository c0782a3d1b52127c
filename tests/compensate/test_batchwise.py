import copy

import torch
from torch import nn
from torch.nn import functional as F

from secateurs.compensate.batchwise import Batchwise
from secateurs.network.exported import ExportedNetwork
from secateurs.network.interpreter import Interpreter


class Net(nn.Module):
    """A batch norm with and one without an affine map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.second, self.head = nn.BatchNorm1d(3, affine=False), nn.Linear(3, 2)

    def forward(self, x):
        x = F.relu(self.first(self.conv(x))).mean((2, 3))
        return self.head(self.second(x))


def test_batches_are_normalised_and_statistics_kept_as_in_training():
    torch.manual_seed(0)
    model = Net().eval()
    model.first.weight.data.uniform_(0.5, 2)
    trained = copy.deepcopy(model).train()
    trained.first.momentum = trained.second.momentum = 0.05
    batches = [torch.randn(8, 2, 6, 6) + k for k in range(3)]
    net = ExportedNetwork(model, [batches[0]])
    norms, run = Batchwise(net, 0.05), Interpreter(net)
    for x in batches:
        found = run.several(net.outputs, {net.inputs[0]: x}, norms.instead)[net.outputs[0]]
        torch.testing.assert_close(found, trained(x))
    kept = {net.state[place]: value for place, value in norms.running.items()}
    assert len(kept) == 4
    for name, value in kept.items():
        torch.testing.assert_close(value, trained.get_buffer(name))
        assert not torch.equal(value, model.get_buffer(name))  # the network's own stay
    assert not Batchwise(net, None).running
    assert not Batchwise(net, None).instead
