"""The proof catches one wrong index in one consumer that changes the function; see benchmarks/sabotage.py."""

import pytest
import torch
from checks import prune, randomise, some
from random_networks import from_seed
from wrong_index import pattern_source, sabotage


@pytest.mark.parametrize("seed", range(20))
def test_one_wrong_index_in_a_random_network(seed):
    net = randomise(from_seed(seed), seed).eval()
    example = torch.randn(1 + seed % 2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    _caught(net, prune(net, example, some, seed), example, seed)


@pytest.mark.parametrize("seed", range(0, 100, 9))
def test_one_wrong_index_in_a_pattern(seed):
    net, example = pattern_source()(seed)
    _caught(net, prune(net, example, some, seed), example, seed)


def _caught(net, cut, example, seed):
    assert cut.proof.passed, cut.proof
    done = sabotage(net, cut, example, seed)
    if done is None:
        pytest.skip("nothing has left that something reads")
    if not done.weights or done.moves < 1e-9:
        pytest.skip("the function is the same")
    assert done.caught, done
