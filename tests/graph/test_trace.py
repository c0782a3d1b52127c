"""What patterns do not show: culprits, values, odd models, and that the proof can fail."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from checks import half, plan_of, prune, randomise
from patterns import Net, conv, unit
from torch import nn

from secateurs.contracts import Group
from secateurs.errors import CaptureError, InputError
from secateurs.graph import Tracer, trace
from secateurs.graph.trial import Failure, culprits
from secateurs.surgery import remove, verify
from secateurs.surgery.retrace import retrace_by_values

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def _plain():
    return randomise(
        nn.Sequential(*unit(3, 8), *unit(8, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    ).eval()


def test_proof_fails_when_other_channels_were_removed():
    model = _plain()
    graph = trace(model, X)
    keep = {group.name: np.arange(group.size // 2) for group in graph.free}
    other = {group.name: np.arange(group.size // 2) + 1 for group in graph.free}
    small = remove(model, plan_of(graph, keep))
    assert verify(model, small, graph.silenced(keep), X).passed
    assert not verify(model, small, graph.silenced(other), X).passed


def test_proof_fails_when_nothing_is_silenced():
    model = _plain()
    graph = trace(model, X)
    keep = {group.name: np.arange(1) for group in graph.free}
    assert not verify(model, remove(model, plan_of(graph, keep)), {}, X).passed


def test_proof_uses_a_part_of_a_large_example():
    model, x = _plain(), torch.randn(1, 3, 300, 300)
    graph = trace(model, x)
    keep = {group.name: np.arange(2) for group in graph.free}
    small = remove(model, plan_of(graph, keep))
    with mock.patch("secateurs.surgery.verify.LONG_PASS", 1e12):
        assert verify(model, small, graph.silenced(keep), x).inputs == ("random", "example")
    with mock.patch("secateurs.surgery.verify.LONG_PASS", 1.0):
        proof = verify(model, small, graph.silenced(keep), x)
    assert proof.passed
    assert "a part of the example" in " ".join(proof.inputs)


def test_proof_of_a_network_of_many_weights_takes_both_inputs_in_one_pass():
    model, x = _plain(), torch.randn(1, 3, 300, 300)
    graph = trace(model, x)
    keep = {group.name: np.arange(2) for group in graph.free}
    other = {group.name: np.arange(2) + 1 for group in graph.free}
    small = remove(model, plan_of(graph, keep))
    sizes = []
    small.register_forward_pre_hook(lambda module, given: sizes.append(tuple(given[0].shape)))
    with mock.patch("secateurs.surgery.verify.MANY_WEIGHTS", 0):
        proof = verify(model, small, graph.silenced(keep), x)
        wrong = verify(model, small, graph.silenced(other), x)
    assert proof.passed, str(proof)
    assert not wrong.passed
    assert proof.inputs == ("random input and a part of the example as",)
    assert set(sizes) == {(2, 3, 64, 64)}


def _groups(n):
    return [Group(str(i), 4, ()) for i in range(n)]


@pytest.mark.parametrize("bad", [set(), {0}, {3, 4}, {0, 6}, set(range(7))])
def test_culprits_finds_exactly_those_that_fail(bad):
    def test(some):
        return Failure("no") if {int(g.name) for g in some} & bad else None

    assert {int(group.name) for group, _ in culprits(_groups(7), test)} == bad


def test_culprits_that_only_fail_together_leave_a_set_that_passes():
    def test(some):
        names = {int(g.name) for g in some}
        return Failure("both") if {1, 5} <= names else None

    found = {int(group.name) for group, _ in culprits(_groups(7), test)}
    assert len(found) == 1
    assert found <= {1, 5}


def test_culprits_costs_few_tests():
    calls = []

    def test(some):
        calls.append(1)
        return Failure("no") if any(g.name == "77" for g in some) else None

    assert [group.name for group, _ in culprits(_groups(128), test)] == ["77"]
    assert len(calls) <= 16


def test_retrace_by_values_locks_code_that_counts_channels():
    model = randomise(
        Net(lambda m, x: m.c(m.b(m.a(x)) / m.a(x).shape[1]), a=conv(3, 8), b=conv(8, 6), c=conv(6, 4))
    )
    tracer = Tracer(model.eval(), X)
    graph = tracer.graph()
    assert [group.name for group in graph.free] == ["a", "b"]
    found = retrace_by_values(
        tracer, {group.name: half(group.size, np.random.default_rng(0)) for group in graph.free}
    )
    assert [group.name for group in found.free] == ["b"]
    assert "something else with fewer channels" in found["a"].locked


def test_retrace_by_values_finds_nothing_where_all_is_well():
    tracer = Tracer(_plain(), X)
    graph = tracer.graph()
    assert retrace_by_values(tracer, {group.name: np.arange(2) for group in graph.free}) is None


def test_values_that_are_not_finite_are_named():
    model = _plain()
    with torch.no_grad():
        model[0].weight[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        prune(model, X)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    cut = prune(_plain().to(dtype), X.to(dtype))
    assert cut.proof.passed
    assert len(cut.graph.free) == 2


def test_wrappers_keep_their_names():
    cut = prune(nn.DataParallel(_plain()), X)
    assert cut.proof.passed
    assert [group.name for group in cut.graph.free] == ["module.0", "module.3"]


def test_integer_images():
    model = randomise(Net(lambda m, x: m.b(m.a(x.float() / 255)), a=conv(3, 8), b=conv(8, 4))).eval()
    cut = prune(model, torch.randint(0, 255, (1, 3, 8, 8), dtype=torch.uint8))
    assert cut.proof.passed
    assert cut.proof.precision == "float64"


def test_hooks_on_layers_run_in_the_copy():
    model = _plain()
    model[0].register_forward_hook(lambda module, args, out: out * 2)
    assert prune(model, X).proof.passed


def test_modes_and_gradients_are_left_as_they_were():
    model = _plain().train()
    model[1].eval()
    model[3].weight.requires_grad_(False)
    before = [module.training for module in model.modules()]
    small = prune(model, X).small
    assert [module.training for module in model.modules()] == before
    assert [module.training for module in small.modules()] == before
    assert not small[3].weight.requires_grad


def test_torchscript_is_refused_by_name():
    model = nn.Sequential(conv(3, 8), torch.jit.script(conv(8, 4)))
    with pytest.raises(CaptureError, match="'1' is TorchScript"):
        trace(model, X)


def test_lazy_layers_are_refused_by_name():
    with pytest.raises(CaptureError, match=r"'0\.weight' has no shape yet"):
        trace(nn.Sequential(nn.LazyConv2d(4, 3)), X)


def test_wrong_example_is_said_in_one_sentence():
    with pytest.raises(CaptureError, match="could not be run on the example input"):
        trace(_plain(), torch.randn(1, 5, 8, 8))


def test_unused_layers_are_listed():
    model = Net(lambda m, x: m.b(m.a(x)), a=conv(3, 8), b=conv(8, 4), idle=conv(8, 8))
    assert trace(model.eval(), X).untouched == {"idle.weight": "is not used on this input"}


def test_deep_networks_take_no_more_than_linear_time():
    """Not timed: the tensors that the groups of 60 and 120 layers touch are counted."""
    counts = []
    for depth in (30, 60):
        model = nn.Sequential(conv(3, 8), *[conv(8, 8) for _ in range(depth)], conv(8, 2)).eval()
        graph = trace(model, torch.randn(1, 3, 4, 4))
        counts.append(sum(len(group.slots) for group in graph.groups))
    assert counts[1] < 2.1 * counts[0]
