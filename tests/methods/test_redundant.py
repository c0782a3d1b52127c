"""Dead filters and exact copies leave first in every method, and groups of nothing else can be ranked."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import secateurs as sc
from networks import residual
from secateurs import methods
from secateurs.contracts import Order, Place, Redundant
from secateurs.graph import trace
from secateurs.layers.group_weights import GroupView
from secateurs.layers.redundant import redundant
from secateurs.statistics.glances import glances

FREE = [m for m in methods.METHODS if m.statistic is None]
IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
PAIR = "one.0"


def found_in(net, group):
    graph = trace(net, IMAGES[:1])
    return redundant(GroupView(graph.model, graph[group], norms_after=graph.norms))


def ranked(net, name):
    graph = trace(net, IMAGES[:1])
    method = methods.get(name)
    stats = sc.observe(net, graph, IMAGES, method, damage=False) if method.statistic else None
    return sc.rank(graph, method, stats).orders


def net_with_three_kinds():
    """In `one.0`: 3 is read with zeros, 5 and 6 are dead, 9 equals 2."""
    net = residual()
    conv, norm = net.one[0], net.one[1]
    with torch.no_grad():
        net.one[3].weight[:, 3] = 0.0
        conv.weight[[5, 6]] = 0.0
        for tensor in (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor[9] = tensor[2]
    return net


def test_what_a_consumer_cannot_tell():
    assert found_in(net_with_three_kinds(), PAIR) == Redundant((3,), (5, 6), (9,), (2,))
    assert found_in(residual(), PAIR) == Redundant()


@pytest.mark.parametrize("part", ["weight", "bias", "running_mean", "running_var"])
def test_a_copy_is_one_in_every_number(part):
    net = net_with_three_kinds()
    with torch.no_grad():
        getattr(net.one[1], part)[9] += 1e-3
    assert found_in(net, PAIR).copies == ()


def test_a_copy_of_a_unit_that_leaves_itself_stays():
    net = net_with_three_kinds()
    with torch.no_grad():
        net.one[3].weight[:, 2] = 0.0  # 2 is read with zeros, and 9, its twin, is read
    assert found_in(net, PAIR) == Redundant((2, 3), (5, 6))


def test_a_multiple_is_no_copy():
    net = net_with_three_kinds()
    with torch.no_grad():
        net.one[0].weight[9] *= 2.0
    assert found_in(net, PAIR).copies == ()


def test_a_batch_norm_that_multiplies_by_zero_makes_a_constant():
    net = residual()
    with torch.no_grad():
        net.one[1].weight[4] = 0.0
        net.norm.weight[2] = 0.0  # the shortcut adds what two more layers give
    assert found_in(net, PAIR).constant == (4,)
    assert found_in(net, "stem") == Redundant()


def test_coupled_layers_are_dead_together():
    net = residual()
    with torch.no_grad():
        for conv in (net.stem, net.one[3], net.two[2]):
            conv.weight[6] = 0.0
    assert found_in(net, "stem").constant == (6,)


def test_equal_filters_of_a_grouped_layer_read_other_channels():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 3, 1))
    with torch.no_grad():
        net[1].weight[:] = net[1].weight[0]
        net[1].bias[:] = 0.0
    group = next(g for g in trace(net, IMAGES[:1]).groups if g.name == "1")
    found = redundant(GroupView(net, group)).copies
    with torch.no_grad():
        seen = net[1](net[0](IMAGES))
    for unit in range(group.size):
        places = group.slots_as("producer")[0].positions
        same = any(torch.equal(seen[:, places[unit]], seen[:, places[k]]) for k in range(unit))
        assert (unit in found) == same


def test_removing_what_is_redundant_changes_nothing_once_repaired():
    """Law 6: with a repair by least squares, neither a dead filter nor a copy is missed."""
    net = net_with_three_kinds()
    net.one[3].padding = (0, 0)  # padding makes the constant of a dead filter no constant
    net.one[0].padding = (2, 2)
    plan = sc.plan(sc.rank(trace(net, IMAGES[:1]), "l1-norm"), layers={PAIR: 8 / 12, "*": 1.0}, keep=1.0)
    assert set(range(12)) - set(plan.kept[PAIR]) == {3, 5, 6, 9}
    small = sc.prune(
        net, IMAGES[:1], method="l1-norm", keep=1.0, layers={PAIR: 8 / 12, "*": 1.0}, data=IMAGES,
        compensate="least-squares-once",
    ).model  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(small(IMAGES), net(IMAGES), atol=1e-3)


@pytest.mark.parametrize("name", methods.names())
def test_they_leave_first_in_every_method(name):
    order = ranked(net_with_three_kinds(), name)[PAIR]
    assert order.units[:4] == (3, 5, 6, 9)
    assert sorted(order.units) == list(range(12))
    assert order.damage is None or order.damage[:4] == (0.0,) * 4
    assert order.notes["leave first"] == "1 unread, 2 constant, 1 copies"
    assert order.own is None or order.own > 4


@pytest.mark.parametrize("name", [m.name for m in FREE if m.name != "random"])
def test_the_others_are_ranked_as_if_they_had_never_been_there(name):
    whole = ranked(net_with_three_kinds(), name)[PAIR]
    net = net_with_three_kinds()
    graph = trace(net, IMAGES[:1])
    stay = [i for i in range(12) if i not in (3, 5, 6, 9)]
    group = graph[PAIR]
    slots = tuple(replace(slot, positions=slot.positions[stay]) for slot in group.slots)
    view = GroupView(graph.model, replace(group, size=8, slots=slots), norms_after=graph.norms)
    rest = methods.get(name).order(View(view.producers, view.consumers, view.norms, None, 0))
    assert [stay.index(unit) for unit in whole.units[4:]] == list(rest.units)
    assert whole.own is None or whole.own == 4 + rest.own
    assert whole.damage is None or whole.damage[4:] == rest.damage


@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_groups_of_dead_or_of_equal_filters_can_be_ranked(name, value):
    net = residual()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight[:] = value
                if module.bias is not None:
                    module.bias[:] = 0.0
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
    for order in ranked(net, name).values():
        assert sorted(order.units) == list(range(len(order.units)))
        assert order.damage is None or order.damage[:-1] == (0.0,) * (len(order.units) - 1)
        assert order.own in (None, len(order.units) - 1)


class View:
    """A group by its matrices."""

    def __init__(self, producers, consumers, norms, statistic, seed, redundant=None):
        self.place = Place(0, 1, len(producers[0]))
        self.producers, self.consumers, self.norms = producers, consumers, norms
        self.statistic, self.seed, self.redundant = statistic, seed, redundant or Redundant()


@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_a_group_of_one_filter_can_be_ranked(name, value):
    method = methods.get(name)
    weights = torch.full((1, 3, 9), value, dtype=torch.float64)
    seen = {"moments": Order((0,), (0.0,))}.get(name)
    if method.look is not None:
        net = residual()
        graph = trace(net, IMAGES[:1])
        seen = glances(net, graph.free, IMAGES, method.look, gradients=method.gradients)["stem"]
        seen = seen[:1] if seen.dim() == 1 else seen[:1, :1]
    order = method.order_of(View([weights], [weights], [], seen, 0))
    assert order.units == (0,)
    assert order.own in (None, 0)


@pytest.mark.parametrize("name", ["similarity", "centrality-betweenness", "centrality", "similarity-nystrom"])
def test_a_published_mode_has_no_such_rule(name):
    net = net_with_three_kinds()
    order = ranked(net, f"{name}:faithful")[PAIR]
    assert "leave first" not in order.notes
    assert order.units[:4] != (3, 5, 6, 9)


def test_two_dead_filters_are_duplicates_to_the_published_code():
    """Its direction is (1, 0, ..., 0) for a filter of zeros."""
    weights = torch.randn(5, 2, 9, generator=torch.Generator().manual_seed(0)).double()
    weights[[1, 4]] = 0.0
    view = View([weights], [], [], None, 0, Redundant(constant=(1, 4)))
    order = methods.similarity(faithful=True).order_of(view)
    assert order.units[0] in (1, 4)
    assert order.damage[0] == 0.0


def test_a_wrong_order_of_the_rest_is_named():
    method = methods.Method("m", "", lambda group: Order((0, 0, 1)))
    with pytest.raises(sc.InputError, match="'m' ranked group 'stem' by"):
        sc.rank(trace(net_with_three_kinds(), IMAGES[:1]), method)


DEAD = {"Conv1": {3, 7, 11, 12, 13, 19, 28}, "block_2_expand": {130}, "block_11_expand": {259}}


@pytest.fixture(scope="module")
def mobilenet(shared_data):
    """The public MobileNetV2, of whose 9,128 channels 9 have filters of zeros; the groups of those."""
    net = sc.zoo.build("mobilenet_v2_folded")
    sc.zoo.load_weights(net, shared_data / "imagenet_models" / "mobilenet_v2_100_224_folded.safetensors")
    graph = trace(net.eval(), torch.zeros(1, 3, 96, 96))
    return replace(graph, groups=tuple(graph[name] for name in DEAD))


def test_similarity_removes_all_nine_of_a_public_network_at_its_own_ratio(mobilenet):
    for name, order in sc.rank(mobilenet, "similarity").orders.items():
        assert DEAD[name] <= set(order.units[: order.own])


@pytest.mark.parametrize("name", [m.name for m in FREE])
def test_the_dead_of_a_public_network_leave_first(mobilenet, name):
    for group, order in sc.rank(mobilenet, name).orders.items():
        unread = 2 if group == "Conv1" else 0  # two live filters that are read with zeros
        assert DEAD[group] <= set(order.units[: len(DEAD[group]) + unread])
        assert order.damage is None or order.damage[len(DEAD[group]) - 1] == 0.0
