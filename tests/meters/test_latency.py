"""Latency: what is stated about it is true; how long things take is nobody's business here."""

import itertools

import pytest
import torch
from torch import nn

from secateurs.errors import InputError
from secateurs.meters import compare_latency, measure_latency
from secateurs.meters.timing import Clocks


class Counting(nn.Module):
    def __init__(self, log, name):
        super().__init__()
        self.log, self.name = log, name

    def forward(self, x):
        self.log.append((self.name, self.training, tuple(x.shape), torch.get_num_threads()))
        return x


class Machine:
    """A clock that stands still but while a network runs: `cost` seconds of processor, `waits` on top of them."""

    def __init__(self, *waits):
        self.now = self.used = 0.0
        self.waits = itertools.cycle(waits or (0.0,))
        self.clocks = Clocks(lambda: self.now, lambda: self.used)

    def network(self, cost, alone=None):
        machine = self

        class Network(nn.Module):
            def forward(self, x):
                spent = cost if alone is None or torch.get_num_threads() > 1 else alone
                machine.used += spent
                machine.now += spent + next(machine.waits)
                return x

        return Network()


X = torch.zeros(1, 3)


def test_runs_warmup_threads_and_batch_are_as_stated():
    log = []
    model = Counting(log, "a")
    before = torch.get_num_threads()
    clocks = Clocks(iter(x * 1e-3 for x in itertools.count()).__next__, lambda: 0.0)
    got = measure_latency(model, torch.zeros(8, 3), runs=9, warmup=4, threads=1, clocks=clocks)
    assert log == [("a", False, (1, 3), 1)] * 13
    assert (got.runs, got.warmup, got.threads, got.device) == (9, 4, 1, "cpu")
    assert (got.best_ms, got.median_ms) == (pytest.approx(1.0), pytest.approx(1.0))
    assert model.training
    assert torch.get_num_threads() == before
    assert "9 runs after 4 of warm-up" in str(got)


def test_networks_take_turns():
    log = []
    models = [Counting(log, name) for name in "abc"]
    clocks = Clocks(iter(x * 1e-3 for x in itertools.count()).__next__, lambda: 0.0)
    compare_latency(models, X, runs=3, warmup=1, threads=1, clocks=clocks)
    assert "".join(name for name, *_ in log) == "abc" + "abc" + "bca" + "cab"


def test_time_limit_still_times_five():
    got = measure_latency(nn.Linear(3, 3), X, runs=1000, warmup=1000, seconds=0.0, threads=1)
    assert (got.runs, got.warmup) == (5, 1)


def test_idle_machine_gives_the_time():
    machine = Machine()
    got = measure_latency(machine.network(0.002), X, clocks=machine.clocks, threads=1)
    assert got.best_ms == pytest.approx(2.0)
    assert got.spread_ms == pytest.approx(0.0, abs=1e-9)
    assert (got.measurable, got.reason, got.runs) == (True, None, 50)


def test_bursts_do_not_reach_the_fastest_run():
    """Most runs wait for 0.4 s, as on the machine of a first user; the median says 402 ms."""
    machine = Machine(0.4, 0.4, 0.0)
    got = measure_latency(machine.network(0.002), X, clocks=machine.clocks, threads=1)
    assert got.best_ms == pytest.approx(2.0)
    assert got.median_ms == pytest.approx(402.0)


def test_rare_quiet_moments_are_waited_for():
    machine = Machine(*[0.004] * 59, 0.0)
    got = measure_latency(machine.network(0.002), X, clocks=machine.clocks, threads=1)
    assert got.best_ms == pytest.approx(2.0)
    assert 120 <= got.runs <= 180


def test_busy_throughout_is_not_measurable():
    machine = Machine(0.004)
    got = measure_latency(machine.network(0.002), X, clocks=machine.clocks, threads=1)
    assert (got.measurable, got.best_ms, got.spread_ms, got.one_thread_ms) == (False, None, None, None)
    assert got.reason == "the machine was busy: even the fastest runs took 3.0 times their processor time"
    assert "not measurable now" in str(got)
    assert machine.now <= 10.1


def test_runs_that_never_agree_are_not_measurable():
    """The processor itself slows down, so that its time is no help."""
    costs = itertools.count(1)
    now = [0.0]

    class Slower(nn.Module):
        def forward(self, x):
            now[0] += 0.01 * 1.3 ** min(next(costs), 30)
            return x

    got = measure_latency(
        Slower(), X, warmup=0, threads=1, clocks=Clocks(lambda: now[0], lambda: now[0]), runs=5
    )
    assert got.best_ms is None
    assert got.reason == "the fastest runs took 13, 16.9, 22 ms and do not agree"


def test_threads_that_were_held_up_are_told_by_one():
    """Spinning threads burn processor time while they wait for each other, so that the two times agree."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        machine = Machine()
        slow, fast = (machine.network(c, alone=0.002) for c in (0.02, 0.0015))
        held, good = compare_latency([slow, fast], X, clocks=machine.clocks)
    finally:
        torch.set_num_threads(before)
    assert (held.best_ms, held.one_thread_ms) == (None, pytest.approx(2.0))
    assert held.reason == "2 threads took 20 ms and one 2: other programs held them up"
    assert (good.best_ms, good.one_thread_ms, good.threads) == (
        pytest.approx(1.5),
        pytest.approx(2.0),
        2,
    )


def test_coarse_processor_clock_is_not_believed():
    machine = Machine()
    clocks = Clocks(machine.clocks.clock, lambda: 0.0)
    assert measure_latency(machine.network(0.002), X, clocks=clocks, threads=1).best_ms == pytest.approx(2.0)


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
