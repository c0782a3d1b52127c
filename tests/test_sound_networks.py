"""Networks for sound, pruned by several methods with data and without, against silencing that shares no code."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from checks import distance, outputs, randomise, silenced_by_hooks

import secateurs as sc
from sound_networks import NETWORKS

# Groups whose units leave, with their sizes; all other groups are outputs.
GROUPS = {
    "raw wave": {"layers.0": 8, "layers.4": 10, "layers.8": 12},
    "conv and GRU": {"conv1": 8, "conv2": 6, "rnn": 10},
    "conv and LSTM": {"conv1": 8, "conv2": 6, "rnn": 10},
    "conv and GRU both ways": {"conv1": 8, "conv2": 6, "rnn": 10},
    "conv and LSTM both ways": {"conv1": 8, "conv2": 6, "rnn": 10},
    "TDNN": {"frames.0.0": 10, "frames.1.0": 8, "frames.2.0": 12, "frames.3.0": 9, "embed": 10},
    "Conv-TasNet": {
        "encoder": 12,
        "squeeze": 8,
        "blocks.0.skip": 6,
        "blocks.0.up.0": 12,
        "blocks.1.up.0": 12,
        "blocks.2.up.0": 12,
    },
    "BC-ResNet": {"stem.0": 10, "blocks.0.change.0": 8, "blocks.2.change.0": 12},
    "MobileNetV3": {
        "stem.0": 8,
        "blocks.0.expand.0": 12,
        "blocks.0.fc1": 6,
        "blocks.1.expand.0": 16,
        "blocks.1.fc1": 6,
        "blocks.1.project.0": 10,
        "blocks.2.expand.0": 16,
        "blocks.2.fc1": 6,
        "last.0": 14,
        "classifier.0": 12,
    },
}
# Method, repair and whether data are given.
WAYS = (
    ("l1-norm", "none", False),
    ("similarity", "weights", False),
    ("moments", "least-squares-once", True),
)


def built(name):
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    return randomise(build()).eval(), torch.randn(48, *shape[1:], generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """The name, the network, samples, and its groups, traced once."""
    model, x = built(request.param)
    return request.param, model, x, sc.trace(model, x[:2])


def test_what_may_leave_is_what_no_output_is(network):
    name, _, _, graph = network
    assert {group.name: group.size for group in graph.free} == GROUPS[name]


@pytest.mark.parametrize(("method", "repair", "data"), WAYS)
def test_what_is_pruned_is_silenced_by_zeros_at_the_readers(network, method, repair, data):
    name, model, x, graph = network
    result = sc.prune(model, x[:2], method=method, keep=0.6, compensate=repair, data=x if data else None)
    assert result.verification.passed
    kept = {group: np.array(units) for group, units in result.plan.kept.items()}
    assert all(len(kept[group]) < size for group, size in GROUPS[name].items())
    whole, context = silenced_by_hooks(model, graph, kept)
    with context:
        expected = outputs(whole, x[:4].double())
    removed = sc.remove(model, result.plan)
    assert distance(expected, outputs(copy.deepcopy(removed).double(), x[:4].double())) < 1e-9
    assert distance(outputs(model, x[:4]), outputs(removed, x[:4])) > 1e-4  # else constants are compared
    found = {key: value.shape for key, value in result.model.state_dict().items()}
    assert found == {key: value.shape for key, value in removed.state_dict().items()}
    if repair == "none":
        assert distance(outputs(removed, x[:4]), outputs(result.model, x[:4])) < 1e-5


def test_least_squares_brings_the_outputs_nearer(network):
    _, model, x, _ = network
    result = sc.prune(model, x[:2], method="l1-norm", keep=0.7, compensate="least-squares", data=x)
    (wanted,), (repaired,) = outputs(model, x), outputs(result.model, x)
    (removed,) = outputs(sc.remove(model, result.plan), x)
    assert (repaired - wanted).norm() < 0.8 * (removed - wanted).norm()


def test_small_networks_train(network):
    _, model, x, _ = network
    small = sc.prune(model, x[:2], method="l1-norm", keep=0.5).model.train()
    small(x[:4]).square().mean().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in small.parameters())
    assert any(p.grad is not None for p in small.parameters())
