"""Budgets as devices state them: read from text, met together, and refused in one sentence."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.allocate import Sensitivity
from secateurs.targets.amounts import limit_given

X = torch.zeros(1, 3, 8, 8)


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 40),
        nn.ReLU(),
        nn.Linear(40, 4),
    ).eval()


@pytest.mark.parametrize(
    ("name", "value", "key", "wanted"),
    [
        ("macs", "30M", "macs", 30e6),
        ("macs", 30e6, "macs", 30e6),
        ("params", "60k", "params", 60e3),
        ("params", "4.03k", "params", 4030),
        ("size", "128kB:int8", "size:int8", 128_000),
        ("size", "128KiB:fp16", "size:fp16", 131_072),
        ("size", "1.5MB", "size:fp32", 1.5e6),
        ("peak_memory", 2000, "peak_memory:fp32", 2000),
        ("macs", 0.5, "macs", 0.5),
        ("size", "0.5", "size", 0.5),
    ],
)
def test_amounts(name, value, key, wanted):
    limit = limit_given(name, value)
    assert (limit.key, limit.value, limit.share) == (key, wanted, wanted < 1)


WRONG = [
    ({"macs": "30X"}, "macs is '30X'; give a share"),
    ({"macs": "30kB"}, "macs is '30kB'; give a share"),
    ({"macs": "-3M"}, "macs is '-3M'; give a share"),
    ({"macs": "0M"}, "macs is '0M'; give a share"),
    ({"macs": "nan"}, "macs is 'nan'; give a share"),
    ({"macs": "1e307G"}, "macs is '1e307G'; give a share"),
    ({"macs": "1e-400"}, "macs is '1e-400'; give a share"),
    ({"macs": -3e6}, "macs is -3e"),
    ({"params": float("nan")}, "params is nan; give a number"),
    ({"size": "128kB:int4"}, "size is '128kB:int4'; give a share .* or bytes"),
    ({"size": "1.2.3kB"}, "size is '1.2.3kB'"),
    ({"peak_memory": 0}, "peak_memory is 0; "),
    ({"macs": 2.5}, "macs is 2.5; "),
    ({"keep": 3}, "keep is 3; "),
    ({"budget": "dcase"}, "budget is 'dcase'; give dcase2025"),
    ({"budget": "dcase2025:int4"}, "budget is 'dcase2025:int4'"),
    ({"budget": "dcase2025", "size": "1kB"}, "size is given, and in budget, too"),
    ({"macs": 0.5, "latency": 0.5}, "macs and latency are both given"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG)
def test_mistakes_are_one_sentence(asked, message):
    with pytest.raises(sc.InputError, match=message) as caught:
        sc.prune(net(), X, method="l1-norm", **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("allocate", ["uniform", "global"])
def test_all_budgets_are_met(allocate):
    asked = {"macs": "90k", "params": "2k", "size": "6kB", "peak_memory": "1.5kB:int8"}
    result = sc.prune(net(), X, method="l1-norm", allocate=allocate, **asked)
    found = {one.key: one for one in result.budgets}
    params = sum(p.numel() for p in result.model.parameters())
    assert result.after.macs <= 90e3
    assert found["macs"].after == result.after.macs
    assert found["size:fp32"].after == 4 * params <= 6000
    assert found["peak_memory:int8"].after == sc.trace(result.model, X).memory.peak() <= 1500


def test_an_absolute_number_of_macs_is_the_share_of_it():
    whole = sc.count_costs(net(), X).macs
    share = sc.prune(net(), X, method="l1-norm", macs=0.5).plan
    absolute = sc.prune(net(), X, method="l1-norm", macs=whole // 2).plan
    assert dict(share.kept) == dict(absolute.kept)
    batch = sc.prune(net(), X.expand(3, -1, -1, -1), method="l1-norm", macs=whole // 2).plan
    assert dict(batch.kept) == dict(absolute.kept)


def test_multipliers_lose_little_more_than_the_best_of_all_plans():
    graph = sc.trace(net(), X)
    ranking = sc.rank(graph, "l1-norm")
    names = [group.name for group in graph.free]
    curves = {
        name: tuple((k, c * (k / graph[name].size) ** 2) for k in range(1, graph[name].size))
        for name, c in zip(names, (1.0, 2.0, 0.5), strict=True)
    }
    allocation = Sensitivity(curves)
    macs, params = 0.6 * graph.costs.macs(), 0.5 * graph.costs.params()
    made = sc.plan(ranking, macs=0.6, params=0.5, allocate=allocation)
    counts = graph.counts({name: np.array(units) for name, units in made.kept.items()})
    assert graph.costs.macs(counts) <= macs + 1
    assert graph.costs.params(counts) <= params + 1
    index = [i for i, group in enumerate(graph.groups) if group.locked is None]
    best = np.inf
    for kept in itertools.product(*(range(1, graph.groups[i].size + 1) for i in index)):
        every = graph.costs.sizes.copy()
        every[index] = kept
        lost = sum(
            c * (1 - k / graph.groups[i].size) ** 2
            for i, k, c in zip(index, kept, (1.0, 2.0, 0.5), strict=True)
        )
        if lost < best and graph.costs.macs(every) <= macs and graph.costs.params(every) <= params:
            best = lost
    assert best <= allocation.lost(ranking, counts) + 1e-9
    assert allocation.lost(ranking, counts) <= 1.1 * best


def test_what_cannot_be_reached_names_what_can():
    with pytest.raises(sc.errors.BudgetError) as caught:
        sc.prune(net(), X, method="l1-norm", macs="100", size="10B")
    assert caught.value.exit_status == 2
    found = str(caught.value)
    assert "or a share in (0, 1]" in found  # 100 may be per cent
    least = int(found.partition("can come to is ")[2].partition(" MACs")[0].replace(",", ""))
    assert sc.prune(net(), X, method="l1-norm", macs=least).after.macs == least


def test_a_network_within_its_budgets_stays_whole():
    made = net()
    result = sc.prune(made, X, method="l1-norm", budget="dcase2025:int8")
    assert "dcase2025:int8: legal" in str(result)
    assert "stays whole" in " ".join(result.remarks)
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(tensor, made.state_dict()[name])


def test_a_preset_counts_at_its_precision():
    torch.manual_seed(0)
    big = nn.Sequential(nn.Linear(100, 400), nn.ReLU(), nn.Linear(400, 4)).eval()
    for precision, each in (("int8", 1), ("fp16", 2), ("fp32", 4)):
        budget = "dcase2025" if precision == "fp32" else f"dcase2025:{precision}"
        result = sc.prune(big, torch.zeros(1, 100), method="l1-norm", budget=budget, round_to=1)
        params = sum(p.numel() for p in result.model.parameters())
        assert each * params <= 128_000
        assert each * (params + 105) > 128_000 or params == 42_004  # a unit more is 100 + 1 + 4 parameters


def bare():
    """Layers without biases: 324 + 1,728 + 640 + 160 parameters."""
    made = net()
    for layer in made:
        if hasattr(layer, "bias"):
            layer.bias = None
    return made


def biased(*layers):
    """A repair that gives some layers a bias of zeros."""

    def repair(small, removal):
        for number in layers:
            small[number].bias = nn.Parameter(torch.zeros(len(small[number].weight)))

    return repair


def params_of(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("name", "value", "each"), [("params", "1400", 1), ("size", "5600B", 4)])
def test_biases_of_a_repair_make_the_plan_tighter(name, value, each):
    plain = sc.prune(bare(), X, method="l1-norm", **{name: value})
    widths = [len(plain.model[number].weight) for number in (0, 2, 6)]
    assert (
        params_of(plain.model) <= 1400 < params_of(plain.model) + sum(widths)
    )  # what the repair adds is too much
    result = sc.prune(bare(), X, method="l1-norm", compensate=biased(0, 2, 6), **{name: value})
    assert params_of(result.model) <= 1400
    assert [one.after for one in result.budgets] == [each * params_of(result.model)]
    too_much = params_of(plain.model) + sum(widths) - 1400
    tighter = sc.prune(bare(), X, method="l1-norm", params=1400 - too_much)
    assert result.plan.kept == tighter.plan.kept != plain.plan.kept
    assert result.verification.passed
    assert result.target == {"params" if name == "params" else "size:fp32": each * 1400.0}


def test_a_repair_that_adds_more_each_time_ends_in_one_sentence():
    left = iter([(0,), (0, 2), (0, 2, 6, 8)])
    seen = []

    def repair(small, removal):
        layers = next(left)
        seen.append(layers)
        biased(*layers)(small, removal)

    with pytest.raises(
        sc.errors.BudgetError, match=r"has 1,447 of at most 1,420 parameters .*, as the repair has"
    ):
        sc.prune(bare(), X, method="l1-norm", params=1420, compensate=repair)
    assert len(seen) == 3


def test_a_tighter_removal_is_proven_too(monkeypatch):
    from secateurs import cutting

    cuts = []

    def once(*given):
        cut = cut_once(*given)
        cuts.append(cut)
        failed = replace(cut.verification, passed=False)
        return cut if len(cuts) == 1 else replace(cut, verification=failed)

    cut_once = cutting.cut_once
    monkeypatch.setattr(cutting, "cut_once", once)
    with pytest.raises(sc.errors.VerificationError, match="please report this network"):
        sc.prune(bare(), X, method="l1-norm", params=1400, compensate=biased(0, 2, 6))
    assert len(cuts) == 2
