"""Latency: what is stated about it is true; how long things take is nobody's business here."""

import pytest
import torch
from torch import nn

from secateurs.errors import InputError
from secateurs.report import compare_latency, measure_latency


class Counting(nn.Module):
    def __init__(self, log, name):
        super().__init__()
        self.log, self.name = log, name

    def forward(self, x):
        self.log.append((self.name, self.training, tuple(x.shape), torch.get_num_threads()))
        return x


def test_runs_warmup_threads_and_batch_are_as_stated():
    log = []
    model = Counting(log, "a")
    before = torch.get_num_threads()
    got = measure_latency(model, torch.zeros(8, 3), runs=9, warmup=4, threads=1)
    assert log == [("a", False, (1, 3), 1)] * 13
    assert (got.runs, got.warmup, got.threads, got.device) == (9, 4, 1, "cpu")
    assert 0 < got.p10_ms <= got.p25_ms <= got.median_ms <= got.p75_ms <= got.p90_ms
    assert got.spread_ms == got.p75_ms - got.p25_ms
    assert model.training
    assert torch.get_num_threads() == before
    assert "9 runs after 4 of warm-up" in str(got)


def test_networks_take_turns():
    log = []
    models = [Counting(log, name) for name in "abc"]
    compare_latency(models, torch.zeros(1, 3), runs=3, warmup=1)
    assert "".join(name for name, *_ in log) == "abc" + "abc" + "bca" + "cab"


def test_time_limit_still_times_five():
    got = measure_latency(nn.Linear(3, 3), torch.zeros(1, 3), runs=1000, warmup=1000, seconds=0.0)
    assert (got.runs, got.warmup) == (5, 1)


def test_clock_is_the_clock(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr("secateurs.report.latency.time.perf_counter", lambda: next(ticks) * 1e-3)
    got = measure_latency(nn.Identity(), torch.zeros(1, 3), runs=5, warmup=0)
    assert got.median_ms == pytest.approx(1.0)


def test_wrong_arguments_and_inputs():
    with pytest.raises(InputError, match="runs must be at least 1, got 0"):
        measure_latency(nn.Identity(), torch.zeros(1, 3), runs=0)
    with pytest.raises(InputError, match="warmup must be at least 0, got -1"):
        measure_latency(nn.Identity(), torch.zeros(1, 3), warmup=-1)
    with pytest.raises(InputError, match="models must be at least 1"):
        compare_latency([], torch.zeros(1, 3))
    with pytest.raises(
        InputError, match=r"Linear cannot run on one sample of the example \(shapes \(1, 4\)\)"
    ):
        measure_latency(nn.Linear(3, 3), torch.zeros(2, 4))
