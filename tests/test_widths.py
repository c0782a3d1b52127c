"""`round_to` "auto": wide groups keep multiples that run fast, narrow ones are free, the budget is met and spent."""

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.allocate import Search
from secateurs.allocate.sequence import counts_after, in_blocks, whole_blocks
from secateurs.targets.schedule import Schedule, refilled
from secateurs.targets.widths import multiples
from secateurs.zoo import build


def graph_of(model, side=32):
    return sc.trace(model.eval(), torch.zeros(1, 3, side, side))


@pytest.fixture(scope="module")
def wide():
    """VGG-16, 64 to 512 channels."""
    torch.manual_seed(0)
    return sc.rank(graph_of(build("vgg16_bn")), "l1-norm")


@pytest.fixture(scope="module")
def narrow():
    torch.manual_seed(0)
    return sc.rank(graph_of(build("resnet20")), "l1-norm")


@pytest.fixture(scope="module")
def bottles():
    """Inverted residuals: 32 to 320 channels in the stream, 96 to 960 inside, with depthwise convolutions."""
    torch.manual_seed(0)
    return sc.rank(graph_of(build("mobilenet_v2_folded")), "l1-norm")


def kept(plan):
    return {name: len(plan.kept.get(name, range(size))) for name, size in plan.sizes.items()}


def counts_of(plan):
    return np.array(list(kept(plan).values()))


def test_the_multiple_is_the_largest_that_moves_a_group_by_five_per_cent_at_most():
    sizes = np.arange(1, 2100)
    found = np.broadcast_to(multiples("auto", sizes), sizes.shape)
    for size, multiple in zip(sizes.tolist(), found.tolist(), strict=True):
        fitting = [m for m in (8, 16, 32) if 10 * m <= size]  # half of m is at most a twentieth of the size
        assert multiple == max(fitting, default=1)


def test_where_no_group_is_wide_all_are_free_by_one_number():
    assert multiples("auto", np.array([16, 32, 64, 79])) == 1
    assert multiples(4, np.array([16, 2048])) == 4


def free_by_hand(ranking, limit):
    """Units one by one, the k-th of n at k / n, ties to the first group, until the multiply-adds are few enough."""
    groups, costs = ranking.graph.groups, ranking.graph.costs
    queue = sorted(
        ((k / g.size, i) for i, g in enumerate(groups) if g.name in ranking.orders for k in range(1, g.size))
    )
    counts = costs.sizes.copy()
    for _, i in queue:
        if costs.macs(counts) <= limit:
            break
        counts[i] -= 1
    return counts


@pytest.mark.parametrize("share", [0.8, 0.5, 0.2])
@pytest.mark.parametrize("name", ["wide", "bottles", "narrow"])
def test_free_widths_are_the_shortest_prefix(name, share, request):
    ranking = request.getfixturevalue(name)
    plan = sc.plan(ranking, macs=share, round_to=1)
    assert counts_of(plan).tolist() == free_by_hand(ranking, share * ranking.graph.costs.macs()).tolist()


@pytest.mark.parametrize("target", ["macs", "params"])
@pytest.mark.parametrize("allocate", ["uniform", "global"])
@pytest.mark.parametrize("name", ["wide", "bottles"])
def test_wide_groups_keep_their_multiple_and_the_budget_is_spent(name, allocate, target, request):
    ranking = request.getfixturevalue(name)
    costs = ranking.graph.costs
    cost = getattr(costs, target)
    for share in (0.7, 0.5, 0.3):
        plan = sc.plan(ranking, allocate=allocate, **{target: share})
        counts = counts_of(plan)
        assert plan.predicted[target] == cost(counts) <= share * cost(costs.sizes)
        lost = np.flatnonzero(counts < costs.sizes)
        for i in lost:
            multiple = max([m for m in (8, 16, 32) if 10 * m <= costs.sizes[i]], default=1)
            # What was left is given out by eights, which a group takes less than one block of.
            assert counts[i] % min(8, multiple) == 0 or counts[i] < multiple
        free = [i for i in lost if costs.sizes[i] < 80]
        eye = np.eye(len(counts), dtype=np.int64)
        assert free, "no narrow group is left to spend the rest"
        assert min(cost(counts + eye[i]) for i in free) > share * cost(costs.sizes)


def test_most_wide_groups_keep_their_own_multiple(wide):
    sizes, plan = wide.graph.costs.sizes, sc.plan(wide, macs=0.5)
    counts = counts_of(plan)
    own = np.broadcast_to(multiples("auto", sizes), sizes.shape)
    assert sum(counts % own > 0) <= 1 < sum(own > 8)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_narrow_networks_are_pruned_as_before(narrow, share):
    assert sc.plan(narrow, macs=share).kept == sc.plan(narrow, macs=share, round_to=1).kept


def test_a_share_of_the_units_is_exact(wide):
    assert sc.plan(wide, keep=0.7).kept == sc.plan(wide, keep=0.7, round_to=1).kept
    assert sc.plan(wide, keep=0.7).kept != sc.plan(wide, keep=0.7, round_to=8).kept
    assert (
        sc.plan(wide, keep=0.7, allocate="global").kept
        == sc.plan(wide, keep=0.7, allocate="global", round_to=1).kept
    )


def test_a_published_procedure_is_exact():
    ranking = sc.rank(
        graph_of(nn.Sequential(nn.Conv2d(3, 256, 3), nn.ReLU(), nn.Conv2d(256, 200, 3))), "fp-omp:faithful"
    )
    plain = sc.rank(ranking.graph, "fp-omp")
    free, auto = (sc.plan(ranking, macs=0.52, round_to=n) for n in (1, "auto"))
    assert auto.kept == free.kept
    assert sc.plan(plain, macs=0.52).kept != sc.plan(plain, macs=0.52, round_to=1).kept


def test_a_method_with_a_ratio_of_its_own_is_exact(wide):
    ranking = sc.rank(wide.graph, "similarity")
    assert sc.plan(ranking).kept == sc.plan(ranking, round_to=1).kept


def test_a_target_of_the_users_own_is_exact(wide):
    class Half:
        name, value = "half", 0.5

        def counts(self, attempt):
            return attempt.schedule().counts(1001)

        def remarks(self, attempt, small):
            return ()

    assert sc.plan(wide, target=Half()).kept == sc.plan(wide, target=Half(), round_to=1).kept


def test_a_share_given_for_a_layer_is_exact(wide):
    name = next(g.name for g in wide.graph.free if g.size == 512)
    plan = sc.plan(wide, macs=0.5, layers={name: 0.501})
    assert len(plan.kept[name]) == 257
    assert plan.predicted["macs"] <= 0.5 * wide.graph.costs.macs()


def test_what_free_widths_reach_is_reached(wide):
    """One unit a group: the last block of every group leaves unit by unit."""
    costs = wide.graph.costs
    least = costs.macs(np.where([g.locked is None for g in wide.graph.groups], 1, costs.sizes)) / costs.macs()
    plan = sc.plan(wide, macs=least * (1 + 1e-9))
    assert counts_of(plan).max() == max(1, *(g.size for g in wide.graph.groups if g.locked))
    with pytest.raises(sc.TargetError):
        sc.plan(wide, macs=0.99 * least)


def test_blocks_of_each_group_by_hand():
    sizes, each = np.array([6, 3]), np.array([4, 1])
    order = np.array([0, 1, 0, 0, 1, 0, 0])
    sequence = in_blocks(order, sizes, each, ends_free=True)
    # Group 0: 6 to 4 with its second unit, then one by one; group 1 one by one.
    assert sequence.tolist() == [1, 0, 0, 0, 1, 0, 0]
    after = [whole_blocks(counts_after(sequence, k, sizes), sizes, each).tolist() for k in range(8)]
    assert after == [[6, 3], [6, 2], [4, 2], [4, 2], [3, 2], [3, 1], [2, 1], [1, 1]]
    assert in_blocks(order, sizes, each).tolist() == [1, 0, 0, 1]


def test_what_is_left_is_given_out_by_eights():
    """By hand: one group of 320 in blocks of 32 to 64 units, of which 90 may stay."""
    sizes = np.array([320])
    each = np.array([32])
    queue = Schedule(sizes, in_blocks(np.zeros(319, dtype=np.int64), sizes, each, ends_free=True), each)
    assert refilled(queue, 256, lambda counts: counts[0] <= 90).tolist() == [88]
    assert refilled(queue, 256, lambda counts: counts[0] <= 96).tolist() == [96]


def test_a_search_goes_by_the_multiples_of_its_groups():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 96, 3), nn.ReLU(), nn.Conv2d(96, 20, 3), nn.ReLU(), nn.Conv2d(20, 4, 3), nn.Flatten()
    ).eval()
    data = torch.randn(64, 3, 8, 8)
    asked = {"method": "l1-norm", "macs": 0.6, "data": data, "allocate": Search(images=64)}
    result = sc.prune(net, torch.zeros(1, 3, 8, 8), **asked)
    first, second = (len(result.plan.kept.get(name, range(size))) for name, size in (("0", 96), ("2", 20)))
    assert first < 96
    assert first % 8 == 0
    assert second <= 20
    assert result.after.macs <= 0.6 * result.before.macs


def test_several_budgets_are_met(wide):
    costs = wide.graph.costs
    plan = sc.plan(wide, macs=0.5, params=0.3)
    assert plan.predicted["macs"] <= 0.5 * costs.macs()
    assert plan.predicted["params"] <= 0.3 * costs.params()
    counts = counts_of(plan)
    assert all(counts[i] % 8 == 0 for i in np.flatnonzero((counts < costs.sizes) & (costs.sizes >= 80)))


def test_prune_rounds_by_itself_and_says_what_it_was_asked():
    net = nn.Sequential(nn.Linear(10, 200), nn.ReLU(), nn.Linear(200, 60), nn.ReLU(), nn.Linear(60, 2)).eval()
    example = torch.zeros(1, 10)
    free, auto = (sc.prune(net, example, method="l1-norm", macs=0.5, round_to=n) for n in (1, "auto"))
    assert sc.prune(net, example, method="l1-norm", macs=0.5).plan.kept == auto.plan.kept != free.plan.kept
    assert len(auto.plan.kept["0"]) % 16 == 0
    assert auto.verification.passed
    config = sc.PruneConfig(round_to=1, macs=0.5)
    assert sc.PruneConfig.from_dict(config.to_dict(), "here").round_to == 1
    assert "round_to" not in sc.PruneConfig(macs=0.5).to_dict()


@pytest.mark.parametrize("wrong", ["fast", "8", 0, 2.0, True, None])
def test_what_is_no_multiple_is_refused(wide, wrong):
    with pytest.raises(sc.InputError, match=r"round_to is .*; give a whole number from 1, or 'auto'"):
        sc.plan(wide, macs=0.5, round_to=wrong)
