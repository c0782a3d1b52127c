"""Repairs by the pairs that a method made, against plain loops over the units as they leave."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import secateurs as sc
from secateurs.compensate import Removal, repair_
from secateurs.compensate.pairs import paired
from secateurs.contracts import Order
from secateurs.plans import plan_from_keep
from two_readers import error, images, network


def pruned(net, method, how, keep, data=None):
    graph = sc.trace(net, images(1))
    look = sc.observe(net, graph, images(40), method, damage=False) if sc.methods.get(method).look else None
    ranking = sc.rank(graph, method, look)
    order = ranking.orders["a"]
    plan = plan_from_keep(graph, {"a": np.sort(order.units[-keep:])}, method, {})
    small = sc.remove(net, plan)
    report = repair_(how, small, Removal(net, graph, plan, data, ranking=ranking))
    return small, order, report


def merged_by_hand(weight, order, keep, factor):
    """V[:, p] += factor V[:, j] for each unit j as it leaves, and its partner p."""
    weight = weight.detach().double().numpy().copy()
    for k in range(len(order.units) - keep):
        j, p = order.units[k], order.partners[k]
        if p >= 0:
            weight[:, p] += factor(j, p) * weight[:, j]
    return weight[:, np.sort(order.units[-keep:])]


@pytest.mark.parametrize("keep", [6, 3, 1])
@pytest.mark.parametrize("method", ["qsfm-ssim", "qsfm-psnr", "similarity", "channel-similarity"])
def test_a_removed_unit_is_added_to_its_partner_as_much_as_its_maps_are_like_the_partners(method, keep):
    net, data = network(), images(300)
    small, order, report = pruned(net, method, "merge-pairs", keep, data)
    with torch.no_grad():
        x = F.relu(net.n(net.a(data))).double().transpose(0, 1).flatten(1).numpy()

    def factor(j, p):
        return sum(x[p] * x[j]) / sum(x[p] * x[p])

    for layer in ("b", "c"):
        expected = merged_by_hand(getattr(net, layer).weight, order, keep, factor)
        np.testing.assert_allclose(getattr(small, layer).weight.detach(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(small.b.bias, net.b.bias)
    assert set(report.unexplained) == {"b", "c"}
    if keep == 6:
        power = {j: sum(x[j] ** 2) for j in order.units[:2]}
        (j, k), (p, q) = order.units[:2], order.partners[:2]
        if not {p, q} & {j, k}:
            rest = [sum((x[u] - factor(u, v) * x[v]) ** 2) for u, v in ((j, p), (k, q))]
            assert report.unexplained["b"] == pytest.approx(sum(rest) / sum(power.values()), rel=1e-3)


@pytest.mark.parametrize("keep", [5, 2])
def test_without_data_a_cluster_is_added_up_at_its_representative(keep):
    net = network()
    small, order, report = pruned(net, "channel-similarity", "merge-equal", keep)
    cluster = {unit: unit for unit in range(8)}
    for k in range(8 - keep):
        old, new = order.units[k], order.partners[k]
        cluster = {unit: new if at == old else at for unit, at in cluster.items()}
    for layer in (net.b, net.c):
        weight = layer.weight.detach()
        expected = torch.stack(
            [sum(weight[:, u] for u in range(8) if cluster[u] == r) for r in sorted(order.units[-keep:])],
            dim=1,
        )
        found = (small.b if layer is net.b else small.c).weight.detach()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert report.samples == 0


@pytest.mark.parametrize("method", ["similarity", "channel-similarity", "l1-norm"])
@pytest.mark.parametrize("how", ["merge-pairs", "merge-equal"])
def test_removing_copies_changes_nothing_even_without_data(method, how):
    net = network()
    with torch.no_grad():
        for tensor in (net.a.weight, net.a.bias, *net.n.state_dict().values()):
            if tensor.dim():
                tensor[4:] = tensor[:4]
    small, order, _ = pruned(net, method, how, 4, images(300) if how == "merge-pairs" else None)
    assert order.units[:4] == (4, 5, 6, 7)
    assert order.partners[:4] == (0, 1, 2, 3)
    assert error(net, small) < 1e-8


def test_a_partner_that_leaves_later_hands_on_what_it_was_given():
    order = Order((3, 1, 2, 0), partners=(1, 2, 0, -1))
    gram = torch.tensor([[4.0, 0, 2, 0], [0, 1, 3, 5], [2, 3, 2, 0], [0, 5, 0, 9]]).double()
    found = paired(order, torch.tensor([1, 2, 3]), torch.tensor([0]), gram)
    assert found[:, 0].tolist() == [3 / 2 * 2 / 4, 2 / 4, 5 / 1 * 3 / 2 * 2 / 4]


def test_a_dead_partner_stands_in_for_nothing():
    order = Order((1, 0), partners=(0, -1))
    assert not paired(order, torch.tensor([1]), torch.tensor([0]), torch.zeros(2, 2).double()).any()


def test_units_that_were_never_paired_are_on_record():
    net = network()
    with torch.no_grad():
        net.a.weight[3] = 0.0
    _, order, report = pruned(net, "similarity", "merge-equal", 7)
    assert order.units[0] == 3
    assert any("2 times a unit without a partner left" in remark for remark in report.remarks)


@pytest.mark.parametrize("how", ["merge-pairs", "merge-equal"])
def test_methods_that_pair_nothing_are_refused(how):
    net = network()
    with pytest.raises(sc.InputError, match=f"'{how}' adds a unit to the one .* and 'l1-norm' pairs none"):
        sc.prune(net, images(1), method="l1-norm", keep=0.5, compensate=how, data=images(20))
    graph = sc.trace(net, images(1))
    plan = plan_from_keep(graph, {"a": np.arange(4)}, "test", {})
    with pytest.raises(sc.InputError, match="needs the ranking that paired the units"):
        repair_(how, sc.remove(net, plan), Removal(net, graph, plan, images(2)))


def test_a_run_merges_pairs_by_name():
    net, data = network(), images(100)
    plain, merged = (
        sc.prune(net, data[:1], method="qsfm-ssim", keep=0.7, compensate=how, data=data)
        for how in ("none", "merge-pairs")
    )
    assert plain.plan.kept == merged.plan.kept
    assert merged.compensate == "merge-pairs"
    assert not torch.equal(plain.model.b.weight, merged.model.b.weight)
