"""Moments of two processes, each with half of the samples, are those of one with all."""

import sys

import pytest
import torch
from torch import multiprocessing, nn

import secateurs as sc
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


def test_all_reduce_of_one_process_changes_nothing():
    stats = Statistics(3)
    assert stats.all_reduce() is stats
