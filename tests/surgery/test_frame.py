"""Frames: the same function, both sides of a convolution free, folded where that is cheaper."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs.graph import Tracer
from secateurs.graph.framed import framed, in_frames
from secateurs.layers.frame import FOLDS, cheapest_fold, fold_frames, fold_weight, insert_frames, is_frame
from secateurs.meters import count_costs
from secateurs.plans import keep_of, plan_from_counts
from secateurs.surgery.remove import finish
from secateurs.zoo.resnet_cifar import resnet_cifar

IMAGE = torch.zeros(1, 3, 32, 32)


def framed_graph(model, example):
    whole, names = in_frames(model, example)
    return framed(Tracer(whole, example).graph(), names)


@pytest.mark.parametrize(
    ("depth", "cuts"),
    [
        (32, {0.3: (35.1, 35.9), 0.5: (63.3, 63.1), 0.6: (74.0, 74.8), 0.7: (83.6, 82.9)}),
        (56, {0.3: (35.2, 36.2), 0.5: (63.4, 63.5), 0.6: (74.1, 75.1), 0.7: (83.7, 83.3)}),
    ],
)
def test_published_cuts_against_the_plain_network(depth, cuts):
    model = resnet_cifar(depth).eval()
    before = count_costs(model, IMAGE)
    graph = framed_graph(model, IMAGE)
    ranking = sc.rank(graph, sc.methods.random())
    assert len(graph.free) == 2 * (depth - 2)
    for share, (params, macs) in cuts.items():
        counts = np.array([g.size - (0 if g.locked else round(share * g.size)) for g in graph.groups])
        plan = plan_from_counts(ranking, counts, {})
        after = count_costs(sc.remove(model, plan), IMAGE)
        assert plan.predicted == {"macs": after.macs, "params": after.params}
        assert round(100 * (1 - after.params / before.params), 1) == params
        assert round(100 * (1 - after.macs / before.macs), 1) == macs


def test_frames_are_the_identity_and_fold_back_bit_for_bit():
    net = residual()
    whole, names = in_frames(net, EXAMPLE)
    assert names == ("one.0", "one.3")
    assert is_frame(whole.one[0])
    assert torch.equal(whole(EXAMPLE), net(EXAMPLE))
    back = fold_frames(whole, dict.fromkeys(names, "both"))
    assert list(back.state_dict()) == list(net.state_dict())
    assert all(torch.equal(back.state_dict()[k], v) for k, v in net.state_dict().items())


def test_inserting_twice_is_inserting_once():
    once = insert_frames(residual(), ["one.0"])
    assert list(insert_frames(once, ["one.0"]).state_dict()) == list(once.state_dict())


@pytest.mark.parametrize("fold", FOLDS)
def test_folding_keeps_the_function_whatever_the_weights(fold):
    torch.manual_seed(0)
    whole = insert_frames(nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1)), ["0"]).double()
    for parameter in whole.parameters():
        nn.init.normal_(parameter)
    whole[0].conv.bias = nn.Parameter(torch.randn(6).double())
    before = copy.deepcopy(whole.state_dict())
    folded = fold_frames(whole, {"0": fold})
    x = torch.randn(2, 4, 9, 9).double()
    assert torch.allclose(folded(x), whole(x), rtol=1e-12, atol=1e-12)
    assert len([m for m in folded.modules() if isinstance(m, nn.Conv2d)]) == {"": 3, "both": 1}.get(fold, 2)
    assert all(torch.equal(before[k], v) for k, v in whole.state_dict().items())


def test_fold_weight_is_the_sum_of_products():
    torch.manual_seed(0)
    enter, conv, leave = torch.randn(3, 2, 1, 1), torch.randn(4, 3, 3, 3), torch.randn(5, 4, 1, 1)
    found = fold_weight(enter, conv, leave)
    for o in range(5):
        for i in range(2):
            want = sum(leave[o, a, 0, 0] * conv[a, b] * enter[b, i, 0, 0] for a in range(4) for b in range(3))
            assert torch.allclose(found[o, i], want, atol=1e-5)


def test_the_cheapest_fold_is_the_cheapest_of_four():
    rng = np.random.default_rng(0)
    for enter, conv, leave, a, b in rng.random((200, 5)):
        fold, macs = cheapest_fold((enter, conv, leave), a, b)
        kept = {
            "both": conv,
            "leave": a * enter + a * conv,
            "enter": b * conv + b * leave,
            "": a * enter + a * b * conv + b * leave,
        }
        assert macs == pytest.approx(min(kept.values()))
        assert kept[fold] == pytest.approx(macs)


@pytest.mark.parametrize("target", [{"macs": 0.8}, {"macs": 0.4}, {"params": 0.5}, {"keep": 0.6}])
def test_prune_in_frames_is_proved_counted_and_saved(target, tmp_path):
    net = residual(width=16, inner=24)
    result = sc.prune(net, EXAMPLE, method="fp-omp", frame=True, **target)
    silenced, _ = in_frames(net, EXAMPLE)
    with torch.no_grad():
        for name, kept in result.plan.kept.items():  # nothing but weights between the layers of a frame
            layer = silenced.get_submodule(name)
            gone = sorted(set(range(layer.out_channels)) - set(kept))
            layer.weight[gone] = 0
            if layer.bias is not None:
                layer.bias[gone] = 0
    assert result.plan.kept
    assert torch.allclose(result.model(EXAMPLE), silenced(EXAMPLE), atol=1e-5)
    assert result.plan.predicted == {"macs": result.after.macs, "params": result.after.params}
    if "keep" not in target:
        name, share = next(iter(target.items()))
        assert getattr(result.after, name) <= share * getattr(result.before, name)
    outside = {g.name for g in result.groups if g.status == "locked"}
    assert {g.name.rsplit(".", 1)[1] for g in result.groups if g.status != "locked"} == {"enter", "conv"}
    assert "stem" in outside
    assert sc.Plan.from_json(result.plan.to_json()) == result.plan
    sc.save(result, tmp_path / "small.safetensors")
    loaded = sc.load(tmp_path / "small.safetensors", into=residual(seed=9, width=16, inner=24))
    assert torch.equal(loaded(EXAMPLE), result.model(EXAMPLE))
    assert torch.equal(sc.remove(net, result.plan)(EXAMPLE), result.model(EXAMPLE))


def test_keeping_everything_in_frames_is_the_plain_network():
    net = residual()
    result = sc.prune(net, EXAMPLE, method="l1-norm", macs=1.0, frame=True)
    assert torch.equal(result.model(EXAMPLE), net(EXAMPLE))
    assert result.after.macs == result.before.macs
    assert set(result.plan.folds.values()) == {"both"}


def test_the_framed_network_can_be_cut_by_the_same_plan():
    net = residual()
    graph = framed_graph(net, EXAMPLE)
    plan = sc.plan(sc.rank(graph, sc.methods.fp_omp()), macs=0.6)
    assert torch.equal(sc.remove(graph.model, plan)(EXAMPLE), sc.remove(net, plan)(EXAMPLE))
    unfolded = sc.remove(net, plan.cuts())
    assert sc.verify(graph.model, unfolded, graph.silenced(keep_of(plan)), EXAMPLE).passed


def test_input_sides_are_ranked_by_what_the_convolution_does_with_its_inputs():
    net = residual()
    graph = framed_graph(net, EXAMPLE)
    ranking = sc.rank(graph, sc.methods.l2_norm())
    size = net.one[0].weight.detach().double().transpose(0, 1).flatten(1).norm(dim=1)
    assert ranking.orders["one.0.enter"].units == tuple(size.argsort(stable=True).tolist())


def test_lrf_and_fp_backward_are_one_rule_in_a_frame():
    """With identities as outgoing weights, z_k holds the coefficients of all filters in k: the two scores are equal."""
    graph = framed_graph(residual(width=8, inner=12), EXAMPLE)
    first, second = (sc.rank(graph, m).orders for m in (sc.methods.lrf(), sc.methods.fp_backward()))
    assert {n: o.units for n, o in first.items()} == {n: o.units for n, o in second.items()}


class Looking(nn.Module):
    """Its code looks into a convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.second(self.first(x)) / self.second.out_channels


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)),
            "no plain two-dimensional convolution larger",
        ),
        (Looking(), "looks into its convolutions"),
    ],
)
def test_networks_that_cannot_be_framed_say_so(model, message):
    with pytest.raises(sc.InputError, match=message):
        sc.prune(model.eval(), EXAMPLE, method="l1-norm", macs=0.5, frame=True)


def test_a_plan_with_frames_refuses_another_network():
    plan = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.6, frame=True).plan
    with pytest.raises(sc.MismatchError, match=r"has no convolution 'one.0'"):
        sc.remove(nn.Sequential(nn.Conv2d(3, 4, 3)), plan)


def test_the_form_of_a_framed_network_gives_back_the_weights_of_the_original():
    net = residual()
    form = framed_graph(net, EXAMPLE).form
    parts = dict(form.model.named_parameters())
    for name, weight in net.named_parameters():
        if name.startswith("one.") and name.endswith(".bias"):
            continue  # of a framed convolution: it has moved behind the frame
        factors = form.factors(name)
        assert torch.equal(form.product([parts[factor] for factor in factors]), weight)
        assert {form.home(factor) for factor in factors} == {name}
    assert len(form.factors("one.0.weight")) == 3
    assert torch.equal(form.original(EXAMPLE), net(EXAMPLE))


def test_a_plan_is_its_cuts_and_its_end():
    net = residual(width=16, inner=24)
    plan = sc.prune(net, EXAMPLE, method="fp-omp", frame=True, macs=0.8, layers={"one.0.*": 1.0}).plan
    assert plan.cuts() != plan
    assert plan.cuts().cuts() == plan.cuts()
    assert plan.cuts().ended_as(plan) == plan
    unfinished = sc.remove(net, plan.cuts())
    whole = sc.remove(net, plan).state_dict()
    found = finish(unfinished, plan).state_dict()
    assert list(found) == list(whole)
    assert set(found) != set(unfinished.state_dict())
    assert all(torch.equal(found[name], whole[name]) for name in whole)
