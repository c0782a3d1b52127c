"""A training under way: the next step of the smaller network is that of the silenced original, on what stayed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import secateurs as sc
from networks import residual
from secateurs.errors import InputError, MismatchError
from secateurs.recover import carried_average, carried_optimizer, carried_tensors
from secateurs.surgery.remove import silence

EXAMPLE = torch.zeros(1, 3, 8, 8)
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-3),
}


def images(seed=0):
    return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def stepped(net, optimizer, x):
    net.eval()  # statistics of batches would differ between the networks where channels are silent
    optimizer.zero_grad()
    out = net(x)
    (out.logsumexp(1) - out[:, 0]).mean().backward()
    optimizer.step()


def trained(make):
    torch.manual_seed(0)
    net = residual()
    optimizer = make(
        [{"params": list(net.parameters())[:2], "lr": 0.01}, {"params": list(net.parameters())[2:]}]
    )
    for seed in range(3):
        stepped(net, optimizer, images(seed))
    return net, optimizer


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_next_step_is_that_of_the_silenced_original(name):
    net, optimizer = trained(OPTIMIZERS[name])
    graph = sc.trace(net, EXAMPLE)
    plan = sc.plan(sc.rank(graph, "l1-norm"), keep=0.5)
    small = sc.remove(net, plan)
    again = carried_optimizer(optimizer, net, small, plan)
    gone = {
        group.name: np.setdiff1d(np.arange(group.size), plan.kept[group.name])
        for group in graph.free
        if group.name in plan.kept
    }
    assert sum(map(len, gone.values())) > 0
    silent = silence(net, graph.silenced(plan.kept))
    twin = type(optimizer)(_as(optimizer, net, silent), **_plain(optimizer))
    for old, new in zip(net.parameters(), silent.parameters(), strict=True):
        twin.state[new] = {k: v.clone() for k, v in optimizer.state[old].items()}
    stepped(small, again, images(9))
    stepped(silent, twin, images(9))
    expected = carried_tensors(silent.state_dict(), plan)
    for key, tensor in small.state_dict().items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-4, atol=1e-6)
    assert [group["lr"] for group in again.param_groups] == [0.01, optimizer.param_groups[1]["lr"]]


def _as(optimizer, net, other):
    names = {id(p): n for n, p in net.named_parameters()}
    there = dict(other.named_parameters())
    return [
        {
            **{k: v for k, v in group.items() if k != "params"},
            "params": [there[names[id(p)]] for p in group["params"]],
        }
        for group in optimizer.param_groups
    ]


def _plain(optimizer):
    return {"lr": optimizer.defaults["lr"]}


def test_the_old_optimiser_stays_and_factored_states_are_cut_where_they_are_long():
    net, optimizer = trained(OPTIMIZERS["adafactor"])
    before = copy.deepcopy(optimizer.state_dict())
    result = sc.prune(net, EXAMPLE, method="l1-norm", keep=0.5)
    again = carried_optimizer(optimizer, net, result.model, result.plan)
    stepped(result.model, again, images())
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, state in before["state"].items():
        assert all(
            torch.equal(v, after["state"][number][k]) for k, v in state.items() if isinstance(v, torch.Tensor)
        )
    name, axes = next(
        (n, a) for n, a in result.plan.steps[0].slices.items() if n.endswith("weight") and 0 in a
    )
    old, new = (dict(each.named_parameters())[name] for each in (net, result.model))
    rows = optimizer.state[old]["row_var"]
    fresh = carried_optimizer(optimizer, net, result.model, result.plan)
    assert torch.equal(fresh.state[new]["row_var"], rows[list(axes[0])])


def test_averages_are_cut_as_the_weights_are():
    net, optimizer = trained(OPTIMIZERS["sgd"])
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    average.update_parameters(net)
    stepped(net, optimizer, images(4))
    average.update_parameters(net)
    result = sc.prune(net, EXAMPLE, method="l1-norm", keep=0.5)
    small = carried_average(average, result.plan)
    assert int(small.n_averaged) == 2
    expected = carried_tensors(average.module.state_dict(), result.plan)
    assert all(torch.equal(small.module.state_dict()[k], v) for k, v in expected.items())
    small.update_parameters(result.model)
    assert int(small.n_averaged) == 3


def test_what_does_not_belong_together_is_named():
    net, optimizer = trained(OPTIMIZERS["sgd"])
    result = sc.prune(net, EXAMPLE, method="l1-norm", keep=0.5)
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(
        InputError, match=r"optimizer: one of its parameters \(shape \(2, 2\)\) is not in both"
    ):
        carried_optimizer(other, net, result.model, result.plan)
    with pytest.raises(MismatchError, match="and the plan begins with"):
        carried_tensors(result.model.state_dict(), result.plan)
    framed = sc.prune(net, EXAMPLE, method="l1-norm", keep=0.7, frame=True)
    with pytest.raises(InputError, match="put frames around convolutions"):
        carried_optimizer(optimizer, net, framed.model, framed.plan)
