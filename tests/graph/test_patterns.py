"""Every pattern goes through the same checks; see patterns.py for the list."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from checks import distance, double, outputs, plan_of, prune, randomise, silenced_by_hooks, some
from patterns import PATTERNS
from torch import Tensor
from torch.utils import _pytree as pytree

from secateurs.meters.costs import count_costs
from secateurs.surgery import Plan, remove

warnings.filterwarnings("ignore", message=".*weight_norm.*")
NAMES = [pattern.name for pattern in PATTERNS]


def _built(pattern):
    torch.manual_seed(0)
    return randomise(pattern.build()).eval()


@pytest.fixture(scope="module", params=PATTERNS, ids=NAMES)
def case(request):
    """One pattern, pruned by half."""
    model = _built(request.param)
    before = [t.clone() for t in [*model.parameters(), *model.buffers()]]
    cut = prune(model, request.param.example)
    after = [*model.parameters(), *model.buffers()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "the original has changed"
    return request.param, model, cut


def test_free_and_locked(case):
    pattern, _, cut = case
    assert sorted(group.name for group in cut.graph.free) == sorted(pattern.free)
    reasons = {group.name: group.locked for group in cut.graph.locked}
    for name, part in pattern.locked.items():
        found = [why for key, why in reasons.items() if key.split("#")[0] == name and part in why]
        assert found, f"{name} should be locked because it {part!r}; locked are {reasons}"


def test_proof_passes(case):
    pattern, _, cut = case
    assert cut.proof.passed, cut.proof
    assert cut.proof.max_rel_diff <= pattern.tolerance


def test_removal_is_silencing_by_hooks(case):
    """Zeros fed to the layers that read what leaves: nothing here is shared with the engine's own proof."""
    pattern, _, cut = case
    if not cut.keep or not pattern.hooks:
        pytest.skip("nothing is free" if not cut.keep else "its weights are not read by a layer with a hook")
    whole, context = silenced_by_hooks(_built(pattern), cut.graph, cut.keep)
    with context:
        expected = outputs(whole, double(pattern.example))
    found = outputs(_in_double(cut.small), double(pattern.example))
    assert distance(expected, found) <= pattern.tolerance


def test_something_moves_when_channels_leave(case):
    """Else the proof would compare constants."""
    pattern, model, cut = case
    if cut.keep:
        moved = distance(outputs(model, pattern.example), outputs(cut.small, pattern.example))
        assert moved > 1e-4 or "named tuple" in pattern.name


def test_costs_are_as_predicted(case):
    pattern, _, cut = case
    assert sum(p.numel() for p in cut.small.parameters()) == cut.plan.predicted["params"]
    if isinstance(pattern.example, Tensor):
        try:
            outputs(cut.small, pattern.example[:1])
        except (RuntimeError, IndexError):
            pytest.skip("the code fixes the size of the batch")
        counted = count_costs(cut.small, pattern.example).macs
        assert counted * pattern.example.shape[0] == pytest.approx(cut.plan.predicted["macs"], rel=1e-9)


def test_train_still_runs(case):
    pattern, _, cut = case
    if not pattern.train:
        pytest.skip("the original cannot be trained either")
    small = copy.deepcopy(cut.small) if not _has_hooks(cut.small) else cut.small
    small.train()
    args, kwargs = _arguments(pattern.example)
    leaves = [x for x in pytree.tree_leaves(small(*args, **kwargs)) if isinstance(x, Tensor)]
    loss = sum(x.float().pow(2).mean() for x in leaves if x.requires_grad)
    loss.backward()
    small.eval()
    assert any(p.grad is not None for p in small.parameters())


def test_keeping_everything_changes_nothing(case):
    pattern, _, cut = case
    model = _built(pattern)
    keep = {group.name: np.arange(group.size) for group in cut.graph.free}
    same = remove(model, plan_of(cut.graph, keep))
    for a, b in zip(outputs(model, pattern.example), outputs(same, pattern.example), strict=True):
        assert torch.equal(a, b)


def test_replay_is_bit_equal(case):
    pattern, _, cut = case
    fresh = pattern.build().eval()
    rebuilt = remove(fresh, Plan.from_json(cut.plan.to_json()))
    rebuilt.load_state_dict(cut.small.state_dict())
    for a, b in zip(outputs(cut.small, pattern.example), outputs(rebuilt, pattern.example), strict=True):
        assert torch.equal(a, b)


def test_any_number_of_units_may_stay(case):
    pattern, _, _ = case
    for seed in (1, 2):
        cut = prune(_built(pattern), pattern.example, some, seed)
        assert cut.proof.passed, cut.proof


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p.onnx], ids=lambda p: p.name)
def test_onnx_equals_the_network(pattern, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from secateurs.export import export_onnx

    small = OneInput(prune(_built(pattern), pattern.example).small).eval()
    assert export_onnx(small, pattern.example, tmp_path / "net.onnx").max_rel_diff < 1e-4


class OneInput(torch.nn.Module):
    """The exporter wants a signature without a star."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def _arguments(example):
    if isinstance(example, dict):
        return (), example
    return (example,) if isinstance(example, Tensor) else tuple(example), {}


def _in_double(model):
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                module.__dict__[name] = value.detach()
    return copy.deepcopy(model).double()


def _has_hooks(model):
    return any(isinstance(v, Tensor) and not v.is_leaf for m in model.modules() for v in vars(m).values())
