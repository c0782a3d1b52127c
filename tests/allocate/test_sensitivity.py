import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.allocate.sensitivity import Sensitivity, convex
from secateurs.errors import InputError
from secateurs.targets.schedule import removals


def test_hull_is_the_greatest_convex_curve_below_the_levels():
    curve = ((2, 4.0), (4, 5.0), (6, 30.0))
    hull = convex(curve, 6)
    assert hull[0] == 0
    assert (np.diff(hull, 2) > -1e-12).all()
    assert all(hull[k] <= d + 1e-12 for k, d in curve)
    assert hull[6] == pytest.approx(30.0)


def test_sequence_is_the_cheapest_split_at_every_prefix():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    graph = sc.trace(net, torch.zeros(1, 3, 2, 2))
    ranking = sc.rank(graph, sc.methods.l1_norm())
    curves = {"0": ((1, 0.1), (2, 0.5), (3, 2.0)), "2": ((1, 0.3), (2, 0.7), (3, 1.3))}
    sequence = removals(ranking, Sensitivity(curves)).sequence
    saved = graph.costs.macs_per_unit()
    damage = {0: convex(curves["0"], 4), 1: convex(curves["2"], 4)}
    names = [g.name for g in graph.groups]
    rates = []
    gone = {0: 0, 1: 0}
    for group in sequence.tolist():
        k = names.index(graph.groups[group].name)
        rates.append((damage[k][gone[k] + 1] - damage[k][gone[k]]) / saved[group])
        gone[k] += 1
    assert rates == sorted(rates)
    assert len(sequence) == 6


def test_bad_curves_are_refused():
    with pytest.raises(InputError, match="finite"):
        Sensitivity({"a": ((1, float("nan")),)})
    with pytest.raises(InputError, match="blend"):
        Sensitivity({}, blend=2.0)


def test_what_was_not_measured_does_not_come_for_free():
    curve = ((2, 1.0), (4, 9.0))  # roots 1 and 3: one more a unit at the end
    assert convex(curve, 8)[-1] == pytest.approx(49.0)
    assert convex(((4, 4.0),), 8)[-1] == pytest.approx(16.0)
    assert (np.diff(convex(curve, 8), 2) > -1e-12).all()
