import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs.compensate.reconstruct import centred
from secateurs.data import resolve_data
from secateurs.network.exported import ExportedNetwork
from secateurs.network.felt import Feeler, until_known
from secateurs.network.interpreter import Interpreter
from secateurs.survey import survey
from secateurs.zoo.digits import trained_digits_cnn


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 1)
        self.c = nn.Linear(3, 4)

    def forward(self, x):
        x = F.relu(self.a(x))
        x = F.relu(self.b(x))
        return self.c(x.mean((2, 3)))


HADAMARD = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1.0]], dtype=torch.float64)


def tiny():
    torch.manual_seed(0)
    model = Tiny().double().eval()
    x = torch.randn(5, 2, 5, 5, dtype=torch.float64)
    net = ExportedNetwork(model, [x])
    place = {name: net.index[n] for n in net.nodes for name in (net.state.get(net.index[n]),) if name}
    nodes = {n: net.index[next(iter(net.nodes[place[f"{n}.weight"]].users))] for n in "abc"}
    return model, x, net, nodes


@pytest.mark.parametrize("seen", [lambda y: y, centred], ids=["outputs", "centred"])
@pytest.mark.parametrize("moved", ["a", "b", "c", "bc"])
def test_squares_over_orthogonal_signs_are_those_of_the_explicit_jacobian(moved, seen):
    model, x, net, nodes = tiny()
    by = {n: torch.randn_like(model.get_parameter(f"{n}.weight")) for n in moved}
    feel = Feeler(Interpreter(net), net.outputs[0], {"it": [{nodes[n]: by[n] for n in moved}]}, seen)
    found = torch.stack([feel.felt([x], v.expand(5, 4)).moves["it"][:, 0] for v in HADAMARD]).mean(0)
    given = {f"{n}.weight": model.get_parameter(f"{n}.weight").detach() for n in moved}
    for sample in range(5):

        def outputs(*weights, sample=sample):
            one = dict(zip(given, weights, strict=True))
            return seen(torch.func.functional_call(model, one, (x[sample : sample + 1],)))[0]

        jacobian = torch.autograd.functional.jacobian(outputs, tuple(given.values()))
        move = sum(torch.tensordot(j, by[n], by[n].dim()) for j, n in zip(jacobian, moved, strict=True))
        assert float(found[sample]) == pytest.approx(float(move.square().sum()), rel=1e-9)


def test_random_signs_come_near_and_the_look_ends_when_it_is_known():
    model, _, net, nodes = tiny()
    chunks = [[torch.randn(5, 2, 5, 5, dtype=torch.float64)] for _ in range(400)]
    by = {"b": [{nodes["b"]: 1e-6 * torch.randn_like(model.b.weight)}]}
    feel = Feeler(Interpreter(net), net.outputs[0], by)
    found = until_known(feel, chunks, doubt=0.0, seed=0)
    assert len(found.outputs) == 2000
    with torch.no_grad():
        x = torch.cat([chunk[0] for chunk in chunks])
        before = model(x)
        model.b.weight += by["b"][0][nodes["b"]]
        moved = float((model(x) - before).square().sum(1).mean())
    assert found.mean("b")[0] == pytest.approx(moved, rel=0.15)  # 4 standard errors
    fewer = until_known(feel, chunks, doubt=0.1, seed=0)
    assert 5 < len(fewer.outputs) < 2000
    assert fewer.doubt() <= 0.1
    assert until_known(feel, chunks, doubt=0.1, seed=0).mean("b") == fewer.mean("b")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv1, self.bn1 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.hidden, self.head = nn.Linear(8, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return self.head(F.relu(self.hidden(x.mean((2, 3)))))


def test_predicted_damages_of_a_trained_network_are_the_measured_ones_within_bounds():
    model, graph = trained_digits_cnn(), sc.trace(trained_digits_cnn(), torch.zeros(1, 1, 8, 8))
    data = resolve_data("digits").train
    levels = (0.25, 0.5, 0.75)
    full = survey(model, graph, data, levels=levels, effort="best")
    quick = survey(model, graph, data, levels=levels)
    assert quick.orders == full.orders
    assert quick.curves.keys() == full.curves.keys()
    damages = [
        (p, m) for n in full.curves for (_, p), (_, m) in zip(quick.curves[n], full.curves[n], strict=True)
    ]
    ratios = np.array([p / m for p, m in damages if m > 1e-6])
    assert len(ratios) >= 9
    assert (ratios > 0.6).all()
    assert (ratios < 1.6).all()
    assert spearmanr(*zip(*damages, strict=True))[0] > 0.95
    assert survey(model, graph, data, levels=levels) == quick


def test_what_cannot_be_predicted_is_measured(monkeypatch):
    monkeypatch.setattr("secateurs.survey.WIDEST", 9)
    torch.manual_seed(0)
    model = Block().eval()
    graph = sc.trace(model, torch.zeros(1, 3, 8, 8))
    x = torch.randn(200, 3, 8, 8)
    full = survey(model, graph, x, levels=(0.5,), effort="best", measured=100)
    fast = survey(model, graph, x, levels=(0.5,), effort="fast", measured=100)
    assert fast.curves["conv1"][0][1] > 0
    assert fast == full


def test_an_unknown_effort_is_refused():
    model = Block().eval()
    graph = sc.trace(model, torch.zeros(1, 3, 8, 8))
    with pytest.raises(sc.InputError, match="effort is 'slow'; give 'fast', 'default' or 'best'"):
        survey(model, graph, torch.randn(8, 3, 8, 8), effort="slow")
    with pytest.raises(sc.InputError, match="effort is 'slow'"):
        sc.prune(model, torch.zeros(1, 3, 8, 8), data=torch.randn(8, 3, 8, 8), macs=0.5, effort="slow")


def test_outputs_without_a_derivative_are_measured_in_full():
    class Detached(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

        def forward(self, x):
            return self.second(torch.relu(self.first(x))).detach()

    torch.manual_seed(0)
    net, data = Detached().eval(), torch.randn(64, 6)
    graph = sc.trace(net, data[:1])
    orders, exact = (survey(net, graph, data, effort=effort) for effort in ("default", "best"))
    assert orders.curves == exact.curves


class Frames(nn.Module):
    """Frames of a clip read one by one, in either order."""

    def __init__(self, order):
        super().__init__()
        self.order, self.a, self.b, self.c = order, nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 1), nn.Linear(3, 4)

    def forward(self, x):
        count = x.shape[0]
        x = x if self.order == "samples first" else x.transpose(0, 1)
        x = F.relu(self.b(F.relu(self.a(x.flatten(0, 1))))).mean((2, 3))
        if self.order == "samples first":
            return self.c(x).unflatten(0, (count, -1)).mean(1)
        return self.c(x).unflatten(0, (-1, count)).mean(0)


def test_frames_of_a_clip_move_its_outputs_together():
    torch.manual_seed(0)
    model = Frames("samples first").double().eval()
    x = torch.randn(5, 3, 2, 5, 5, dtype=torch.float64)
    net = ExportedNetwork(model, [x])
    place = next(i for i, name in net.state.items() if name == "b.weight")
    node = net.index[next(iter(net.nodes[place].users))]
    by = torch.randn_like(model.b.weight)
    feel = Feeler(Interpreter(net), net.outputs[0], {"it": [{node: by}]})
    assert feel.samples_first([x], HADAMARD[1].expand(5, 4))
    found = torch.stack([feel.felt([x], v.expand(5, 4)).moves["it"][:, 0] for v in HADAMARD]).mean(0)
    _, moved = torch.func.jvp(
        lambda w: torch.func.functional_call(model, {"b.weight": w}, (x,)), (model.b.weight,), (by,)
    )
    assert torch.allclose(found, moved.square().sum(1), rtol=1e-9)


class TimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x):
        x = x.transpose(0, 1)
        return self.c(F.relu(self.b(F.relu(self.a(x)))).mean(0))


@pytest.mark.parametrize("time", [7, 8], ids=["7", "as many as samples"])
def test_layers_that_read_time_first_are_measured_in_full(time):
    torch.manual_seed(0)
    net, data = TimeFirst().eval(), list(torch.randn(64, time, 6).split(8))
    graph = sc.trace(net, data[0][:1])
    found, exact = (survey(net, graph, data, levels=(0.5,), effort=e) for e in ("default", "best"))
    assert found.curves == exact.curves


def test_frames_in_the_order_of_time_are_measured_in_full():
    torch.manual_seed(0)
    net, data = Frames("time first").eval(), torch.randn(64, 3, 2, 5, 5)
    graph = sc.trace(net, data[:1])
    found, exact = (survey(net, graph, data, levels=(0.5,), effort=e) for e in ("default", "best"))
    assert found.curves == exact.curves
