"""The repair `weights` is one thing: what a search scores its candidates with is what the result gets."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs.compensate import Removal, repair_
from secateurs.compensate.combination import Combination
from secateurs.layers.group_weights import GroupView
from secateurs.layers.tensors import take
from secateurs.plans import plan_from_keep


def awake(net):
    """The network with batch-norm statistics that are not those of a fresh one."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 3)
            nn.init.uniform_(module.weight, 0.3, 3)
            nn.init.normal_(module.bias)
    return net.eval()


def block():
    """Expand, depthwise, project, each with its batch norm."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6()]
    layers += [nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6()]
    return awake(nn.Sequential(*layers, nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4)))


class Shortcut(nn.Module):
    """A stem without batch norm, coupled by a sum with a convolution that has one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.head(F.relu(x + self.norm(self.conv(x))))


X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_candidates_and_result_get_the_same_weights():
    net = block()
    graph = sc.trace(net, X[:1])
    keep = {"0": np.array([0, 2, 3, 5])}
    plan = plan_from_keep(graph, keep, "", {})
    small = sc.remove(net, plan)
    repair_("weights", small, Removal(net, graph, plan))
    scored = Combination(graph).weights(keep)
    assert list(scored) == ["6.weight"]
    want = take(scored["6.weight"], graph.slices(keep)["6.weight"])
    torch.testing.assert_close(small[6].weight.detach(), want, rtol=0, atol=0)


def test_the_scale_is_that_of_the_norm_behind_the_layer_itself():
    net = block()
    graph = sc.trace(net, X[:1])
    kept, gone = [0, 2, 3], [1, 4, 5]
    filters = net[0].weight.detach().flatten(1).double().numpy()
    scale = (net[1].weight / (net[1].running_var + net[1].eps).sqrt()).detach().double().numpy()
    mix = np.linalg.lstsq((filters * scale[:, None])[kept].T, (filters * scale[:, None])[gone].T, rcond=None)[
        0
    ].T
    readers = net[6].weight.detach()[:, :, 0, 0].double().numpy()
    found = Combination(graph).weights({"0": np.array(kept)})["6.weight"][:, kept, 0, 0]
    np.testing.assert_allclose(found.numpy(), readers[:, kept] + readers[:, gone] @ mix, rtol=1e-4)


def test_a_layer_without_batch_norm_does_not_get_the_next_ones():
    torch.manual_seed(0)
    net = awake(Shortcut())
    graph = sc.trace(net, X[:1])
    assert graph.norms == {"conv.weight": "norm"}
    view = GroupView(net, graph.free[0], norms_after=graph.norms)
    assert next(slot.tensor for slot in view.group.slots_as("producer")) == "stem.weight"
    norms = [view.norm_of(i) for i in range(len(view.producers))]
    assert norms[0] is None
    torch.testing.assert_close(norms[1].gamma, net.norm.weight.detach().double())
