"""What rank does with statistics that are missing, wrong, or cannot be had."""

import pytest
import torch
from torch import nn

import secateurs as sc
from networks import residual
from secateurs import methods
from secateurs.contracts import Order
from secateurs.graph import trace
from secateurs.statistics import observe
from secateurs.statistics.glances import glances

DATA = [m for m in methods.METHODS if m.statistic is not None]
SEEN = [m for m in DATA if m.look is not None]


@pytest.fixture
def images():
    return torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def stats(net, graph, method, images):
    return glances(net, graph.free, images, method.look, gradients=method.gradients)


@pytest.mark.parametrize("method", DATA, ids=lambda m: m.name)
def test_a_group_that_is_missing_is_named_with_the_statistic(method, images):
    net = residual()
    graph = trace(net, images[:1])
    words = f"nothing of group 'stem', of which '{method.name}' needs {method.statistic}; the keys are 'stm'"
    with pytest.raises(sc.InputError, match=words):
        sc.rank(graph, method, {"stm": torch.ones(8)})
    with pytest.raises(sc.InputError, match="nothing of group 'stem'"):
        sc.rank(graph, method, {})


def test_statistics_of_another_kind_are_not_taken(images):
    net = residual()
    graph = trace(net, images[:1])
    with pytest.raises(sc.InputError, match="stats: nothing of group"):
        sc.rank(graph, methods.thinet(), observe(net, graph.free, images).channels)


@pytest.mark.parametrize("wrong", [torch.ones(3), torch.ones(8, 3), [1.0] * 8, Order(tuple(range(8)))])
@pytest.mark.parametrize("method", SEEN, ids=lambda m: m.name)
def test_statistics_of_another_shape_are_named(method, wrong, images):
    graph = trace(residual(), images[:1])
    with pytest.raises(sc.InputError, match="what was seen of a group of 8 units is"):
        sc.rank(graph, method, {group.name: wrong for group in graph.free})


@pytest.mark.parametrize("method", SEEN, ids=lambda m: m.name)
def test_a_group_that_was_seen_has_no_note(method, images):
    net = residual()
    graph = trace(net, images[:1])
    assert not sc.rank(graph, method, stats(net, graph, method, images)).notes


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch.export, about the LSTM
def test_a_group_that_cannot_be_looked_at_is_on_record():
    """Recurrent layers read their input, but their outputs are no sum of contributions."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(5, 6), nn.LSTM(6, 4, batch_first=True)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))[0][:, -1]

    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(7, 3, 5)
    graph = trace(net, x[:1])
    found = stats(net, graph, methods.thinet(), x)
    assert found["first"] is None
    ranking = sc.rank(graph, methods.thinet(), found)
    assert ranking.notes["first"] == {
        "ranked by": "l2-norm",
        "because": "no layer shows contributions to the next layer of this group",
    }
    assert ranking.orders["first"].units == sc.rank(graph, "l2-norm").orders["first"].units
    assert "ranked by: l2-norm" in str(ranking)
    result = sc.prune(net, x[:1], method="thinet", keep=0.9, data=x)
    assert any("thinet could not look at 1 of " in remark for remark in result.remarks)
