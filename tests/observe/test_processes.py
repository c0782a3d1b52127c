"""Moments, feature maps and plans of two processes are those of one."""

import sys

import numpy as np
import pytest
import torch
from torch import multiprocessing, nn

import secateurs as sc
from secateurs.running.together import by_first
from secateurs.statistics import Statistics, observe


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval()


def images() -> torch.Tensor:
    return torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def worker(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    net, x = network(), images()
    mine = x[:8] if rank == 0 else x[8:]
    stats = observe(net, sc.trace(net, x[:1]).free, mine, taps=True).all_reduce()
    stats.save(f"{folder}/{rank}.safetensors")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32" or not torch.distributed.is_available(), reason="no gloo here")
def test_all_reduce_gives_every_process_the_moments_of_all_samples(tmp_path):
    multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    net, x = network(), images()
    whole = observe(net, sc.trace(net, x[:1]).free, x, taps=True)
    for rank in range(2):
        found = Statistics.load(tmp_path / f"{rank}.safetensors")
        assert found.samples == 20
        for table, expected in ((found.channels, whole.channels), (found.taps, whole.taps)):
            assert set(table) == set(expected)
            for name, moments in table.items():
                assert moments.count == expected[name].count
                torch.testing.assert_close(moments.second, expected[name].second, rtol=1e-5, atol=1e-4)


METHODS = ("moments", "hrank", "thinet", "taylor", "l1-norm")


def looked(processes=False):
    """What is seen of a network with a batch norm in the middle, on five batches with labels, and plans made of it."""
    net, x = network(), torch.randn(72, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    loader = [(x[k : k + 16], torch.arange(len(x[k : k + 16])) % 4) for k in range(0, 72, 16)]
    net = nn.Sequential(net, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
    graph = sc.trace(net, x[:1])
    found = sc.observe(net, graph, loader, METHODS, processes=processes)
    plans = []
    for method in METHODS:
        for how in ("uniform", found.sensitivity()):
            plans.append(sc.plan(sc.rank(graph, method, found), macs=0.6, allocate=how).kept)
    return found, plans


def looking(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(looked(processes=True), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32" or not torch.distributed.is_available(), reason="no gloo here")
def test_two_processes_that_look_at_half_each_make_the_plans_of_one(tmp_path):
    multiprocessing.spawn(looking, (str(tmp_path),), nprocs=2)
    alone, plans = looked()
    two = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2)]
    for found, made in two:
        assert made == plans
        assert found.survey.samples == alone.survey.samples
        for name, curve in alone.survey.curves.items():
            np.testing.assert_allclose(found.survey.curves[name], curve, rtol=1e-4)
            assert np.array_equal(found.survey.curves[name], two[0][0].survey.curves[name])
        for method in ("hrank", "thinet", "taylor"):
            for group, expected in alone.seen[method].items():
                torch.testing.assert_close(found.seen[method][group], expected, rtol=1e-4, atol=1e-6)
    for method, seen in two[0][0].seen.items():  # all processes have the same, to the last bit
        assert all(torch.equal(seen[group], two[1][0].seen[method][group]) for group in seen)


def failing(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for problem in (sc.InputError("no data"), KeyError("k")):

        def fail(problem=problem):
            raise problem

        try:
            by_first(fail)
        except Exception as found:
            with open(f"{folder}/{rank}.txt", "a") as file:
                file.write(f"{type(found).__name__} {found}\n")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32" or not torch.distributed.is_available(), reason="no gloo here")
def test_what_goes_wrong_in_the_first_process_goes_wrong_in_all(tmp_path):
    multiprocessing.spawn(failing, (str(tmp_path),), nprocs=2)
    assert (tmp_path / "0.txt").read_text() == "InputError no data\nKeyError 'k'\n"
    second = "InputError no data\nRunError the first process failed (KeyError: 'k')\n"
    assert (tmp_path / "1.txt").read_text() == second


def test_all_reduce_of_one_process_changes_nothing():
    stats = Statistics(3)
    assert stats.all_reduce() is stats
