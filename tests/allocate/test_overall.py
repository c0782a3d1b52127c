import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.allocate import Global, Threshold
from secateurs.contracts import Order, Ranking
from secateurs.errors import InputError


def _ranking(damage):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    graph = sc.trace(net, torch.zeros(1, 3, 2, 2))
    return Ranking(graph, {k: Order((0, 1, 2, 3), v) for k, v in damage.items()}, "made up")


DAMAGE = {"0": (0.1, 0.2, 0.3, 0.4), "2": (0.25, 30.0, 40.0, 50.0)}


@pytest.mark.parametrize("level", [0.05, 0.15, 0.22, 0.27, 1.0])
def test_a_threshold_takes_what_is_below_one_level_everywhere(level):
    ranking = _ranking(DAMAGE)
    below = sum(d <= level for damages in DAMAGE.values() for d in damages[:3])
    gone = Threshold(least=0.0)(ranking)[:below]
    names = [group.name for group in ranking.graph.groups]
    for name, damages in DAMAGE.items():
        assert (gone == names.index(name)).sum() == sum(d <= level for d in damages[:3])


def test_global_compares_within_the_group_instead():
    ranking = _ranking(DAMAGE)
    names = [group.name for group in ranking.graph.groups]
    assert Global()(ranking)[0] == names.index("2")  # 0.25 is little for that group
    assert Threshold()(ranking)[0] == names.index("0")


def test_the_last_units_of_a_group_go_last():
    sequence = Threshold(least=0.5)(_ranking({"0": (0.0, 0.0, 0.0, 0.0), "2": (1.0, 2.0, 3.0, 4.0)}))
    assert np.bincount(sequence[:4])[np.bincount(sequence[:4]) > 0].tolist() == [2, 2]


def test_threshold_needs_damages():
    with pytest.raises(InputError, match="only gives an order"):
        Threshold()(_ranking({"0": None, "2": None}))
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        Threshold(least=1.0)


def test_thresholds_nest_by_name_as_the_target_shrinks():
    net, x = (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1)),
        torch.ones(1, 3, 2, 2),
    )
    plans = [sc.prune(net, x, method="fp-backward", allocate="threshold", macs=m).plan for m in (0.8, 0.5)]
    assert all(set(plans[1].kept[name]) <= set(units) for name, units in plans[0].kept.items())
