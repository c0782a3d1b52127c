"""Changed files and plans are read as a network or refused in one sentence; benchmarks/fuzz_files.py tries more."""

import random
import resource

import pytest
import torch

import secateurs as sc
from mutations import changed_file, changed_text, outcome
from networks import EXAMPLE, residual

COUNT = 150


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Bytes and plans of a network pruned plainly, and of one with frames."""
    found = []
    for frame in (False, True):
        result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, frame=frame)
        path = tmp_path_factory.mktemp("saved") / "model.safetensors"
        sc.save(result, path)
        found.append((path.read_bytes(), result.plan.to_json()))
    return found


@pytest.mark.parametrize("kind", ["file", "plan"])
def test_nothing_but_our_errors(saved, tmp_path, kind):
    net = residual()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "changed.safetensors"
    ends = []
    for seed in range(COUNT):
        draw = random.Random(seed)
        data, text = draw.choice(saved)
        if kind == "file":
            path.write_bytes(changed_file(data, draw))
            ends.append(outcome(lambda: sc.load(path, into=net), sc.SecateursError))
        else:
            changed = changed_text(text, draw)
            ends.append(outcome(lambda: sc.remove(net, sc.Plan.from_json(changed)), sc.SecateursError))  # noqa: B023
    wrong = [(seed, end) for seed, end in enumerate(ends) if end not in ("read", "refused")]
    assert not wrong
    assert ends.count("refused") > COUNT / 2  # the changes do change something
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**20  # kibibytes: 1 GiB
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
