"""One look at the data serves rank and plan as design.md has it, and gives what `prune` sees."""

import pytest
import torch
from torch import nn

import secateurs as sc
from networks import residual
from secateurs.errors import InputError

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Counting:
    """Batches that count how often they are read."""

    def __init__(self):
        self.begun = 0

    def __iter__(self):
        self.begun += 1
        yield from IMAGES.split(16)


def test_the_steps_give_what_prune_gives():
    model, loader = residual(), Counting()
    graph = sc.trace(model, EXAMPLE)
    stats = sc.observe(model, graph, loader)
    ranking = sc.rank(graph, "moments", stats)
    plan = sc.plan(ranking, macs=0.6, allocate=stats.sensitivity())
    small = sc.remove(model, plan)
    sc.compensate.repair_("least-squares", small, sc.compensate.Removal(model, graph, plan, loader, 2048))
    whole = sc.prune(model, EXAMPLE, macs=0.6, data=IMAGES)
    assert plan.kept == whole.plan.kept
    assert all(
        torch.allclose(a, b, atol=1e-5)
        for a, b in zip(small.state_dict().values(), whole.model.state_dict().values(), strict=True)
    )


def test_one_look_serves_several_methods_and_reads_the_data_once():
    model, loader = residual(), Counting()
    graph = sc.trace(model, EXAMPLE)
    stats = sc.observe(model, graph, loader, ["hrank", "qsfm-psnr", "l1-norm"])
    assert loader.begun == 1
    for method in ("hrank", "qsfm-psnr", "l1-norm", "moments"):
        kept = sc.plan(sc.rank(graph, method, stats), macs=0.6).kept
        assert kept == sc.prune(model, EXAMPLE, method=method, macs=0.6, data=IMAGES).plan.kept, method


def test_what_was_not_observed_is_said():
    model = residual()
    graph = sc.trace(model, EXAMPLE)
    stats = sc.observe(model, graph, IMAGES, "hrank", damage=False)
    with pytest.raises(InputError, match="stats: were observed for hrank, not for 'thinet'"):
        sc.rank(graph, "thinet", stats)
    with pytest.raises(InputError, match="no damage was measured; observe with damage=True"):
        stats.sensitivity()
    assert sc.rank(graph, "l1-norm", stats).method == "l1-norm"


class InPlace(nn.Module):
    def forward(self, x):
        return x.sub_(0.5).mul_(2)


def test_a_network_that_works_in_place_on_its_input_sees_the_same_samples_each_time():
    model = nn.Sequential(InPlace(), residual()).eval()
    graph = sc.trace(model, EXAMPLE)
    mine = [IMAGES.clone()]
    both = sc.observe(model, graph, mine, ["thinet", "hrank"], damage=False)
    alone = sc.observe(model, graph, mine, "hrank", damage=False)
    assert torch.equal(mine[0], IMAGES)
    for name, seen in alone.seen["hrank"].items():
        assert torch.equal(seen, both.seen["hrank"][name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"graph": 3}, "graph is 3"),
        ({"methods": "hrnk"}, "hrnk"),
        ({"limit": 0}, "limit is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"model": "net"}, "model is 'net'"),
        ({"data": 3}, "cannot be read"),
        ({"model": nn.Linear(2, 2)}, "not the network that the graph was traced from"),
        ({"methods": None}, "method"),
        ({"damage": "no"}, "damage is 'no'"),
    ],
)
def test_mistakes_are_sentences(change, words):
    model = residual()
    given = {"model": model, "graph": sc.trace(model, EXAMPLE), "data": IMAGES, **change}
    with pytest.raises(InputError, match=words):
        sc.observe(**given)
