"""Costs by group: everything is counted once, the sums are those of the network, and by hand where it is small."""

import pytest
import torch
from checks import randomise
from patterns import PATTERNS
from torch import nn

import secateurs as sc
from secateurs.graph import trace
from secateurs.graph.attribution import OTHER, Spent, attribute, removable, without_place
from secateurs.report.structure import structure


class Recogniser(nn.Module):
    """Convolution, LSTM, linear layer; 6 frames of 5 bins."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(5, 4, 1)
        self.norm = nn.BatchNorm1d(4)
        self.lstm = nn.LSTM(4, 3, batch_first=True)
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        y, _ = self.lstm(self.norm(self.conv(x)).transpose(1, 2))
        return self.fc(y[:, -1])


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.name)
def test_every_cost_is_counted_once(pattern):
    torch.manual_seed(0)
    graph = trace(randomise(pattern.build()).eval(), pattern.example)
    spent = attribute(graph)
    rows = [*spent.groups.values(), *spent.others.values()]
    assert all(row.params >= 0 and row.macs >= 0 for row in rows)
    assert sum(row.params for row in rows) == sum(p.numel() for p in graph.model.parameters())
    assert sum(row.macs for row in rows) == graph.costs.macs()
    found = removable(graph)
    assert found.free + found.elsewhere + sum(s for s, _ in found.locked.values()) == pytest.approx(1.0)


def test_an_lstm_by_hand():
    """The layer's 6 frames x 4 gates x 3 x (4 + 3) = 504 multiply-adds once, not once for every tensor."""
    net, x = Recogniser().eval(), torch.zeros(1, 5, 6)
    spent = attribute(trace(net, x))
    assert spent.groups["conv"] == Spent(4 * 5 + 4 + 4 + 4, 6 * 4 * 5)
    assert spent.groups["fc"] == Spent(3 * 2 + 2, 3 * 2)
    both = (*spent.groups.items(), *spent.others.items())
    rest = [row for name, row in both if name.startswith("lstm") or name == OTHER]
    assert sum(row.macs for row in rest) == 6 * 4 * 3 * (4 + 3)
    assert sum(row.params for row in rest) == 4 * 3 * (4 + 3 + 2)


def test_inspect_and_prune_say_the_same():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 4, 1),
    ).eval()
    x = torch.randn(1, 3, 8, 8)
    inspected = {g.name: (g.params, g.macs) for g in structure(net, x).groups}
    pruned = {g.name: (g.params, g.macs) for g in sc.prune(net, x, method="l1-norm", keep=0.5).groups}
    assert inspected == pruned
    assert inspected["0"] == (224 + 16 + 80, 64 * 27 * 8 + 64 * 9 * 8)


def test_what_can_leave_by_hand():
    """64 places: 3 x 8 products under a norm over all channels, 8 x 6 that are free to lose outputs, 6 x 4."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.GroupNorm(1, 8), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Conv2d(6, 4, 1)
    )
    found = removable(trace(net.eval(), torch.randn(1, 3, 8, 8)))
    assert found.free == pytest.approx((48 + 24) / 96)
    assert found.locked == {"all channels are normalised together": (pytest.approx(24 / 96), 1)}
    assert found.elsewhere == 0


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        ("is an output of the model", "is an output of the model"),
        ("meets padding of fixed width in cat at net.py:3", "meets padding of fixed width"),
        (
            "the code computes something else with fewer channels: the output moves",
            "the code computes something else with fewer channels",
        ),
    ],
)
def test_reasons_without_their_place(reason, short):
    assert without_place(reason) == short
