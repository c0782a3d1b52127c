"""Random networks at random targets: laws 1, 2 and 4. `benchmarks/fuzz.py` runs on where these stop."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from checks import Cut, distance, double, outputs, plan_of, prune, randomise, silenced_by_hooks, some
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_networks import from_seed, random_network

from secateurs.graph.capture import capture, exported, recorded
from secateurs.surgery import remove

WAYS = (capture, recorded, exported)


def _example(seed):
    return torch.randn(1 + seed % 2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def _pruned(net, seed, way=capture):
    example = _example(seed)
    with mock.patch("secateurs.graph.captures.program_of", way):
        return prune(net, example, some, seed), example


def _check(net, cut: Cut, example):
    assert cut.proof.passed, cut.proof
    assert sum(p.numel() for p in cut.small.parameters()) == cut.plan.predicted["params"]
    assert all(group.locked for group in cut.graph.locked)
    whole, context = silenced_by_hooks(net, cut.graph, cut.keep)
    bare = any("w" in getattr(layer, "_parameters", {}) for layer in net.layers)
    if cut.keep and not bare:  # a weight that no layer owns is not reached by hooks
        with context:
            expected = outputs(whole, double(example))
        assert distance(expected, outputs(_double(cut.small), double(example))) < 1e-9


def _double(small):
    import copy

    return copy.deepcopy(small).double()


@pytest.mark.parametrize("seed", range(45))
def test_random_network_of_a_fixed_seed(seed):
    net = randomise(from_seed(seed), seed).eval()
    cut, example = _pruned(net, seed, WAYS[seed % 3])
    _check(net, cut, example)
    everything = {group.name: np.arange(group.size) for group in cut.graph.free}
    same = remove(net, plan_of(cut.graph, everything))
    assert all(torch.equal(a, b) for a, b in zip(outputs(net, example), outputs(same, example), strict=True))


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
@given(st.data())
def test_random_network_of_any_choices(data):
    torch.manual_seed(0)
    net = random_network(lambda n: data.draw(st.integers(0, n - 1)))
    net = randomise(net).eval()
    cut, example = _pruned(net, 1)
    _check(net, cut, example)


def test_all_kinds_of_steps_occur():
    stories = " ".join(" ".join(from_seed(seed).story) for seed in range(45))
    from random_networks import STEPS

    assert all(name in stories for name in STEPS)


@pytest.mark.parametrize("seed", range(6))
def test_ways_to_capture_agree(seed):
    """Where all ways find the same groups free, they are the same groups."""
    net = randomise(from_seed(seed), seed).eval()
    found = []
    for way in (capture, exported):
        with mock.patch("secateurs.graph.captures.program_of", way):
            cut = prune(net, _example(seed), some, seed)
        found.append({(group.name, group.size) for group in cut.graph.free})
    assert found[0] == found[1]
