"""Exported networks give what their modules give, whatever is written in place, and are captured once."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from networks import residual
from secateurs.errors import InputError
from secateurs.network import exported
from secateurs.network.exported import ExportedNetwork, Exports, operation
from secateurs.network.interpreter import Interpreter
from secateurs.running.examples import outputs

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))
from checks import randomise
from patterns import PATTERNS


def given(model, x):
    """What the captured network gives on `x`."""
    net = ExportedNetwork(model, x)
    found = Interpreter(net).several(net.outputs, dict(zip(net.inputs, x, strict=True)))
    return [found[i] for i in net.outputs]


@pytest.mark.parametrize("pattern", PATTERNS, ids=[p.name for p in PATTERNS])
def test_every_pattern_is_run_as_it_is(pattern):
    torch.manual_seed(0)
    model = randomise(pattern.build()).eval()
    x = pattern.example if isinstance(pattern.example, tuple) else (pattern.example,)
    with torch.no_grad():
        wanted = outputs(model, tuple(copy.deepcopy(x)), {}) if isinstance(x[0], torch.Tensor) else []
        if not wanted:
            pytest.skip("its inputs are no plain tensors")
        try:
            found = given(model, x)
        except InputError:
            pytest.skip("torch.export does not capture it")
        if len(found) != len(wanted):
            pytest.skip("some outputs are not returned")
        for a, b in zip(wanted, found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


class Written(nn.Module):
    """A convolution whose output is changed in place, in a way that others see or do not."""

    def __init__(self, how) -> None:
        super().__init__()
        self.conv, self.norm, self.how = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), how

    def forward(self, x):
        return self.how(self, x)


def _seen_later(net, x):
    y = net.conv(x)
    z = F.relu(y, inplace=True)
    return y + 2 * z


def _by_a_view(net, x):
    y = net.conv(x)
    y.flatten(1).relu_()
    return net.norm(y)


def _input(net, x):
    return net.conv(x.mul_(2))


def _alone(net, x):
    y = F.relu(net.norm(net.conv(x)), inplace=True)
    y += x.mean(1, keepdim=True)
    return F.hardtanh(y, 0.0, 6.0, inplace=True)


@pytest.mark.parametrize(
    ("how", "apart"),
    [(_seen_later, False), (_by_a_view, True), (_input, True), (_alone, False)],
)
def test_what_is_written_in_place_is_seen_by_all_that_see_it(how, apart):
    torch.manual_seed(0)
    model, x = randomise(Written(how)).eval(), torch.randn(2, 3, 5, 5)
    program = torch.export.export(model, (x.clone(),), strict=False)
    assert exported.functional_(program.graph) is not apart
    with torch.no_grad():
        wanted = model(x.clone())
        torch.testing.assert_close(given(model, (x.clone(),))[0], wanted, rtol=1e-5, atol=1e-6)


def test_batch_norms_that_were_taken_apart_are_one_operation_again():
    torch.manual_seed(0)
    net = ExportedNetwork(randomise(Written(_by_a_view)).eval(), (torch.randn(2, 3, 5, 5),))
    assert [operation(n) for n in net.nodes].count("batch_norm") == 1
    assert not any("no_training" in str(n.target) or "getitem" in str(n.target) for n in net.nodes)


def test_a_network_is_captured_once_for_chunks_of_one_form():
    model, other = residual(), residual()
    x, more = torch.randn(2, 3, 8, 8), torch.randn(3, 3, 8, 8)
    known = Exports()
    first = known.of(model, (x,))
    assert known.of(model, (2 * x,)) is first
    assert known.of(model, (more,)) is not first
    assert known.of(other, (x,)) is not first


def test_a_run_exports_the_original_once_and_makes_the_captures_of_the_result_from_it(monkeypatch):
    seen = []
    once = exported.captured

    def counted(model, chunk):
        seen.append(tuple(chunk[0].shape))
        return once(model, chunk)

    monkeypatch.setattr(exported, "captured", counted)
    data = [(torch.randn(50, 3, 8, 8), torch.zeros(50, dtype=torch.long)) for _ in range(4)]
    sc.prune(residual(), torch.randn(1, 3, 8, 8), macs=0.6, data=data, seed=1)
    assert len(seen) == 1, seen
