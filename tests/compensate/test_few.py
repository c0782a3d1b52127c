"""Of few samples some are never fitted to, so that what ends a fit is no sample that the layers before have learnt."""

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.compensate import refine, walk
from secateurs.compensate.refit import refit
from secateurs.compensate.walk import judges, refit_, samples_of, stops
from secateurs.layers.linear_map import matrix
from secateurs.network.paired import PairedNetworks
from secateurs.plans import plan_from_keep


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(20, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 5)
    ).eval()  # fmt: skip


def samples(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 20, generator=torch.Generator().manual_seed(seed))


def pruned(model: nn.Module) -> tuple:
    graph = sc.trace(model, samples(1))
    keep = {name: np.arange(24) for name in ("0", "2", "4")}
    plan = plan_from_keep(graph, keep, "test", {})
    return sc.remove(model, plan), plan


def walked(n: int) -> list:
    model = net()
    small, plan = pruned(model)
    pair = PairedNetworks(model, small, samples_of(samples(n), n, torch.device("cpu")))
    found = stops(pair, plan, ridge=1e-5, seed=0)
    pair.advance(found[-1].block.first())
    return found


@pytest.mark.parametrize(("n", "apart"), [(45, True), (50, False)])
def test_few_are_less_than_two_for_every_channel_of_the_widest_layer(n, apart):
    assert {stop.apart for stop in walked(n)} == {apart}  # the layers read 24 channels now


def test_a_refinement_never_fits_to_what_judges():
    stop = walked(40)[-1]
    count = len(stop.pair.chunks)
    drawn = [refine._chunks(stop) for _ in range(20)]
    assert {k for fit, _ in drawn for k in fit} == {k for k in range(count) if not judges(k, count)}
    assert {k for _, held in drawn for k in held} == {k for k in range(count) if judges(k, count)}


def test_the_refit_of_few_samples_is_that_of_the_others_alone():
    stop = walked(40)[-1]
    before, chunks = matrix(stop.module).double(), stop.pair.chunks
    parts = [k for k in range(len(chunks)) if not judges(k, len(chunks))]
    run = stop.pair.small
    source = run.net.given(stop.block.layer.node, 0)
    x = torch.cat([run.pull(source, chunks[k][1]) for k in parts])
    y = torch.cat([stop.target(k, dict(chunks[k][1])) for k in parts]).double()
    s = torch.cat([x.double(), torch.ones(len(x), 1)], 1)
    gram, cross = (s.T @ s / len(s))[None], (s.T @ y / len(s))[None]
    refit_(stop)
    tried = [refit(gram, cross, before, ridge=ridge)[0] for ridge in (1e-5, *walk._RIDGES)]
    errors = [float((matrix(stop.module).double() - w).abs().max()) for w in tried]
    assert min(errors) < 1e-5 < sorted(errors)[1]


@pytest.mark.parametrize("count", range(1, 12))
def test_what_is_fitted_to_while_few_chunks_fit_in_memory_never_judges_later(count):
    fitted = {k for k in range(count) if not judges(k, count)}
    assert fitted
    assert not any(judges(k, more) for more in range(count, 30) for k in fitted)
