"""Latency targets: planned by the user's own measurement or by a clock, and checked again at the end."""

import itertools

import pytest
import torch
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs.errors import RunError
from secateurs.meters import count_costs
from secateurs.meters.timing import Clocks
from secateurs.targets.latency import Latency, check_latency


def macs(module):
    return count_costs(module, EXAMPLE).macs * 1e-9


def ranking(net):
    return sc.rank(sc.trace(net, EXAMPLE), sc.methods.get("l1-norm"))


@pytest.mark.parametrize("share", [0.9, 0.6, 0.3])
def test_a_measure_that_counts_macs_gives_the_plan_for_macs(share):
    net = residual()
    result = sc.prune(net, EXAMPLE, method="l1-norm", latency=(share, macs))
    assert result.plan.kept == sc.plan(ranking(net), macs=share).kept
    assert result.plan.target == {"latency": share}
    got, whole = macs(result.model), macs(net)
    assert f"{1000 * got:.3g} of {1000 * whole:.3g} ms, {got / whole:.3f}" in result.remarks[-1]


def test_a_measure_with_steps_keeps_all_that_is_free():
    """A device that takes as long for 12 filters as for 9: the largest network on the step is taken."""
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3)).eval()

    def steps(module):
        return -(-module[0].out_channels // 4) * 0.001

    kept = [
        sc.prune(net, EXAMPLE, method="l1-norm", latency=(share, steps)).model[0].out_channels
        for share in (0.8, 0.75, 0.6, 0.25)
    ]
    assert kept == [12, 12, 8, 4]


def test_a_measure_gets_copies():
    net, given = residual(), []

    def spoiling(module):
        given.append(module)
        seconds = macs(module)
        module.stem.weight.data.zero_()
        return seconds

    before = [p.clone() for p in net.parameters()]
    result = sc.prune(net, EXAMPLE, method="l1-norm", latency=(0.6, spoiling))
    assert all(map(torch.equal, before, net.parameters()))
    assert result.model.stem.weight.abs().min() > 0
    assert not any(module in (net, result.model) for module in given)


def test_a_target_out_of_reach_says_what_was_measured():
    with pytest.raises(sc.TargetError, match=r"at most 0.5 .* took 10 of 10 ms, 1.000 \(as `measure` says\)"):
        sc.prune(residual(), EXAMPLE, method="l1-norm", latency=(0.5, lambda module: 0.01))


def test_the_finished_network_is_measured_again():
    """What the last measurement says counts, whatever the candidates did."""
    calls = itertools.count()
    net = residual()
    tried = sc.prune(net, EXAMPLE, method="l1-norm", latency=(0.6, lambda m: (next(calls), macs(m))[1]))
    last = next(calls) - 1

    calls = itertools.count()
    with pytest.raises(sc.TargetError, match=r"latency 0\.6 was not met: the finished network takes"):
        sc.prune(
            net,
            EXAMPLE,
            method="l1-norm",
            latency=(0.6, lambda m: macs(m) * (2 if next(calls) == last else 1)),
        )
    assert tried.after.macs <= 0.6 * tried.before.macs


@pytest.mark.parametrize(
    ("latency", "message"),
    [
        ((0.5,), r"give \(0.6, measure\)"),
        ((0.5, 3), r"give \(0.6, measure\)"),
        ((1.5, macs), "latency is 1.5"),
        ((0.5, lambda module: 0), "measure.module. returned 0; it has to return seconds"),
        ((0.5, lambda module: None), "measure.module. returned None"),
        ((0.5, lambda module: float("nan")), "measure.module. returned nan"),
    ],
)
def test_wrong_measurements_are_said(latency, message):
    with pytest.raises(sc.InputError, match=message):
        sc.prune(residual(), EXAMPLE, method="l1-norm", latency=latency)


class Machine:
    """A clock on which a convolution takes as long as it has weights, and other programs add their own."""

    def __init__(self, *waits):
        self.now = self.used = 0.0
        self.waits = itertools.cycle(waits)
        self.clocks = Clocks(lambda: self.now, lambda: self.used)

    def __call__(self, module, args, output):
        if isinstance(module, nn.Conv2d):
            self.used += module.weight.numel() * 1e-6
            self.now += module.weight.numel() * (1e-6 + next(self.waits) * 1e-6)


@pytest.fixture
def machine(request):
    made = Machine(*request.param)
    handle = nn.modules.module.register_module_forward_hook(made)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield made
    torch.set_num_threads(before)
    handle.remove()


def weights(module):
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


BURSTS = [0.0] * 50 + [300.0] * 50


@pytest.mark.parametrize("machine", [(0.0,), BURSTS], ids=["idle", "bursts"], indirect=True)
def test_a_plan_by_the_clock_is_that_of_an_idle_machine(machine):
    net = residual()
    plan = sc.plan(ranking(net), target=Latency(0.6, clocks=machine.clocks), example=EXAMPLE)
    share = weights(sc.remove(net, plan)) / weights(net)
    assert 0.6 * 0.97 - 0.08 < share <= 0.6 * 0.97  # a channel of this net is up to 8 % of its weights
    small = sc.remove(net, plan)
    said = check_latency(net, small, 0.6, EXAMPLE, clocks=machine.clocks)
    assert f"{share:.3f} (fastest runs with 1 thread on cpu)" in said
    with pytest.raises(sc.TargetError, match=r"latency 0\.3 was not met"):
        check_latency(net, small, 0.3, EXAMPLE, clocks=machine.clocks)


@pytest.mark.parametrize("machine", [(4.0,)], ids=["busy"], indirect=True)
def test_a_busy_machine_is_refused(machine):
    net = residual()
    with pytest.raises(
        RunError, match=r"cannot be measured now: .* 5.0 times their processor time"
    ) as caught:
        sc.plan(ranking(net), target=Latency(0.6, clocks=machine.clocks), example=EXAMPLE)
    assert caught.value.exit_status == 1
