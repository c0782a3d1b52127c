"""Plans in multiples: the budget is spent, blocks stay whole, keep-sets nest."""

import itertools

import numpy as np
import pytest
import torch

import secateurs as sc
from secateurs.allocate import Global, Uniform
from secateurs.allocate.sequence import in_blocks
from secateurs.targets.schedule import Schedule, refilled
from secateurs.zoo import build


@pytest.fixture(scope="module", params=["resnet20", "resnet56"])
def ranking(request):
    torch.manual_seed(0)
    graph = sc.trace(build(request.param).eval(), torch.zeros(1, 3, 32, 32))
    return sc.rank(graph, sc.methods.get("l1-norm"))


@pytest.mark.parametrize("target", ["macs", "params"])
@pytest.mark.parametrize("allocate", [Uniform(), Global()], ids=["uniform", "global"])
@pytest.mark.parametrize("multiple", [2, 4, 8])
def test_the_budget_is_spent(ranking, target, allocate, multiple):
    """One block of 4 of the 16 channels that run through the first stage is up to 8 % of the network."""
    costs = ranking.graph.costs
    for share in (0.6, 0.5, 0.4):
        plan = sc.plan(ranking, allocate=allocate, round_to=multiple, **{target: share})
        whole = getattr(costs, target)(costs.sizes)
        assert share - 0.015 < plan.predicted[target] / whole <= share
        assert all(len(units) % multiple == 0 for units in plan.kept.values())


def test_multiples_spend_no_less_where_they_are_smaller(ranking):
    kept = [sc.plan(ranking, round_to=n, macs=0.5).predicted["macs"] for n in (2, 4, 8)]
    assert max(kept) - min(kept) < 0.01 * ranking.graph.costs.macs(ranking.graph.costs.sizes)


@pytest.mark.parametrize("multiple", [4, 8])
def test_keep_sets_nest_where_targets_are_blocks_apart(ranking, multiple):
    plans = [sc.plan(ranking, round_to=multiple, params=share) for share in (0.9, 0.6, 0.3)]
    for larger, smaller in itertools.pairwise(plans):
        for name, size in larger.sizes.items():
            assert set(smaller.kept.get(name, range(size))) <= set(larger.kept.get(name, range(size)))


def test_blocks_come_back_last_first_until_four_do_not_fit():
    """By hand: units of group 0 cost 10, all others 1; blocks of 2, and the last removal is one of group 0."""
    sizes = np.array([6, 6, 6])
    weights = np.array([10, 1, 1])
    sequence = in_blocks(np.array([1, 1, 2, 2, 1, 1, 2, 2, 0, 0]), sizes, 2)
    queue = Schedule(sizes, sequence, 2)

    def enough(limit):
        return lambda counts: float((weights * counts).sum()) <= limit

    # All five blocks gone leave 44 of 72; blocks of groups 2, 1, 2 and 1 come back at 2 each.
    assert refilled(queue, 10, enough(52)).tolist() == [4, 6, 6]
    assert refilled(queue, 10, enough(49)).tolist() == [4, 4, 4]
    assert refilled(queue, 10, enough(47)).tolist() == [4, 2, 4]
    assert refilled(queue, 10, enough(44)).tolist() == [4, 2, 2]


def test_single_units_are_a_prefix():
    queue = Schedule(np.array([4, 4]), np.array([1, 1, 0]))
    assert refilled(queue, 3, lambda counts: True).tolist() == [3, 2]


def test_a_group_whose_last_block_stays_gone_gets_none_of_its_earlier_ones():
    sizes, weights = np.array([8, 8]), np.array([3, 1])
    queue = Schedule(sizes, in_blocks(np.array([0, 0, 1, 1, 0, 0]), sizes, 2), 2)
    # 32 units of cost; all gone 18; a block of group 0 costs 6, of group 1 costs 2.
    counts = refilled(queue, 6, lambda counts: float((weights * counts).sum()) <= 22)
    assert counts.tolist() == [4, 8]
