"""The quick count of costs, on the meta device, against that on fake tensors of a processor, for every pattern."""

import sys
from pathlib import Path

import pytest
import torch

from secateurs.errors import InputError
from secateurs.meters import costs, count_costs

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))
from patterns import PATTERNS


@pytest.mark.parametrize("pattern", PATTERNS, ids=[p.name for p in PATTERNS])
def test_the_quick_way_counts_what_fake_tensors_of_a_processor_count(pattern, monkeypatch):
    torch.manual_seed(0)
    model = pattern.build().eval()
    try:
        quick = count_costs(model, pattern.example)
    except InputError:
        pytest.skip("it takes no batch of one")
    monkeypatch.setattr(costs, "cut", None)  # the meta device cannot be had then
    assert count_costs(model, pattern.example) == quick
