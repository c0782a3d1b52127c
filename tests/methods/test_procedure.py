"""What belongs to a published method beside its ranking, and what a run's own options make of it."""

from fractions import Fraction

import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.methods import Procedure, get
from secateurs.targets.schedule import count_of

EXAMPLE = torch.zeros(1, 3, 8, 8)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4),
    ).eval()  # fmt: skip


def widths(result):
    return {group.name: group.kept for group in result.groups}


@pytest.mark.parametrize("name", ["lrf", "fp-backward", "fp-omp"])
def test_a_faithful_method_brings_its_frame_and_its_repair(name):
    plain = sc.prune(network(), EXAMPLE, method=name, keep=0.7)
    assert (plain.compensate, "0" in widths(plain)) == ("none", True)
    result = sc.prune(network(), EXAMPLE, method=f"{name}:faithful", keep=0.7)
    assert result.compensate == "weights"
    assert {g.name: g.kept for g in result.groups if g.status == "pruned"} == {"2.enter": 6, "2.conv": 11}
    assert result.verification.passed


def test_what_is_asked_for_takes_the_place_of_the_procedure():
    asked = {"method": "lrf:faithful", "keep": 0.7}
    result = sc.prune(network(), EXAMPLE, **asked, frame=False, compensate="none")
    assert result.compensate == "none"
    kept = {g.name: g.kept for g in result.groups if g.status == "pruned"}
    assert kept == {"0": 6, "2": 11}
    assert sc.PruneConfig(frame=False).to_dict() == {"frame": False}
    assert sc.PruneConfig().to_dict() == {}


@pytest.mark.parametrize(
    "name", ["similarity", "similarity-nystrom", "centrality", "centrality-betweenness", "operator-norm"]
)
def test_papers_that_prune_convolutions_leave_hidden_dense_layers_alone(name):
    own = get(name).own_ratio
    target = {} if own else {"keep": 0.7}
    plain = sc.prune(network(), EXAMPLE, method=name, **target)
    assert next(g for g in plain.groups if g.name == "7").status != "locked"
    result = sc.prune(network(), EXAMPLE, method=f"{name}:faithful", **target)
    dense = next(g for g in result.groups if g.name == "7")
    assert (dense.status, dense.kept) == ("locked", 12)
    assert dense.reason == (
        f"comes from a layer that is no convolution, and {name}:faithful prunes convolutions only"
    )
    if not own:
        assert (widths(result)["0"], widths(result)["2"]) == (6, 11)


def test_asking_for_units_that_stay_whole_says_why():
    with pytest.raises(
        sc.InputError, match="'7' asks for units of groups that stay whole: '7' comes from a layer"
    ):
        sc.prune(network(), EXAMPLE, method="centrality:faithful", keep=0.7, layers={"7": 0.5})


def test_a_network_without_convolutions_says_why():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(
        sc.TargetError, match="operator-norm:faithful prunes convolutions only, and the channels"
    ):
        sc.prune(net, torch.zeros(1, 4), method="operator-norm:faithful", keep=0.5)


def removed_as_published(size, percent):
    """round(p n) in exact fractions, halves to the even number as Python's round has it; one stays at least."""
    return min(size - 1, round(Fraction(percent, 100) * size))


def test_counts_are_rounded_as_the_papers_round():
    for size in range(1, 80):
        for percent in range(1, 100):
            share = 1 - percent / 100
            assert size - count_of(share, size, "removed") == removed_as_published(size, percent)
            assert count_of(share, size, "kept up") == max(1, -(-(100 - percent) * size // 100))


def test_uniform_prefixes_hold_the_rounded_counts():
    graph = sc.trace(network(), EXAMPLE)
    ranking = sc.rank(graph, sc.methods.centrality(faithful=True))
    assert sc.rank(graph, "centrality").rounding == "kept up"
    sequence = sc.allocate.Uniform()(ranking)
    sizes = [group.size for group in graph.groups if not group.locked]
    for percent in range(1, 94, 7):
        want = [removed_as_published(int(n), percent) for n in sizes]
        first = sequence[: sum(want)].tolist()
        assert [first.count(i) for i in range(len(sizes))] == want
    made = sc.plan(ranking, keep=0.7, layers={"7": 1.0})
    assert {name: len(units) for name, units in made.kept.items()} == {"0": 6, "2": 11}
    assert {n: len(u) for n, u in sc.plan(ranking, keep=0.7, round_to=4).kept.items()} == {"2": 12, "7": 8}
    blocks = sc.plan(ranking, keep=1.0, layers={"2": 0.7})
    assert len(blocks.kept["2"]) == 11


def test_procedures_are_plain_unless_faithful():
    assert all(method.procedure == Procedure() for method in sc.methods.METHODS)
