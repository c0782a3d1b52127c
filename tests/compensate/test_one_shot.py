import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import secateurs as sc
from secateurs.compensate import Removal, names, repair_
from secateurs.compensate.stand_in import by_all, by_mean, by_nearest
from secateurs.plans import plan_from_keep
from two_readers import error, images, network

KEEP = [0, 2, 3, 5]


def repaired(net, keep, how, n=300):
    graph = sc.trace(net, images(1))
    plan = plan_from_keep(graph, {k: np.array(v) for k, v in keep.items()}, "test", {})
    small = sc.remove(net, plan)
    report = repair_(how, small, Removal(net, graph, plan, images(n)))
    return small, report


@pytest.mark.parametrize("how", ["merge", "weights", "least-squares-once", "least-squares"])
def test_removing_duplicates_changes_nothing(how):
    net = network()
    with torch.no_grad():
        for tensor in (net.a.weight, net.a.bias, *net.n.state_dict().values()):
            if tensor.dim():
                tensor[4:] = tensor[:4]
    plain, _ = repaired(net, {"a": range(4)}, "none")
    small, _ = repaired(net, {"a": range(4)}, how)
    assert error(net, plain) > 1e-2
    assert error(net, small) < 1e-8


def test_constant_channels_cost_nothing_with_any_repair_that_knows_means():
    net = network()
    with torch.no_grad():
        net.n.weight[[1, 4]] = 0.0
        net.n.bias[[1, 4]] = 0.7
        net.c.weight[:, [1, 4], 0] = net.c.weight[:, [1, 4], 2] = 0  # no taps over the padding
        net.c.weight[:, [1, 4], :, 0] = net.c.weight[:, [1, 4], :, 2] = 0
    keep = {"a": [0, 2, 3, 5, 6, 7]}
    for how in ("bias", "merge", "least-squares-once", "least-squares"):
        small, _ = repaired(net, keep, how)
        assert error(net, small) < 1e-8, how


@pytest.mark.parametrize(
    "how", [n for n in names() if n not in ("none", "weights", "merge-pairs", "merge-equal")]
)
def test_every_repair_helps(how):
    net = network()
    keep = {"a": range(5), "b": range(4)}
    plain, _ = repaired(net, keep, "none")
    small, report = repaired(net, keep, how)
    assert error(net, small) < error(net, plain)
    assert report.samples == 300
    assert all(0 <= v <= 1.5 for v in report.unexplained.values())


def test_bias_folds_means_as_computed_by_hand():
    net = network()
    small, _ = repaired(net, {"a": KEEP}, "bias")
    gone = [1, 4, 6, 7]
    with torch.no_grad():
        mean = F.relu(net.n(net.a(images(300)))).mean((0, 2, 3))[gone]
        shift = net.b.weight[:, gone, 0, 0] @ mean
        torch.testing.assert_close(small.b.bias, net.b.bias + shift, rtol=1e-4, atol=1e-5)
        inside = net.c.weight[:, gone].sum((2, 3)) @ mean
        torch.testing.assert_close(small.m.running_mean, net.m.running_mean - inside, rtol=1e-4, atol=1e-5)


def test_stand_ins_equal_plain_loops():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    mean, gram = torch.tensor(x.mean(0)), torch.tensor(x.T @ x / 500)
    covariance = torch.tensor(np.cov(x.T, bias=True))
    gone, kept = torch.tensor([1, 4]), torch.tensor([0, 2, 3, 5])
    mix, constant = by_all(mean, gram, gone, kept, ridge=1e-13)
    design = np.concatenate([x[:, kept], np.ones((500, 1))], 1)
    expected = np.linalg.lstsq(design, x[:, gone], rcond=None)[0]
    np.testing.assert_allclose(mix, expected[:-1].T, rtol=1e-6)
    np.testing.assert_allclose(constant, expected[-1], rtol=1e-6)
    mix, constant = by_nearest(mean, covariance, gone, kept)
    for row, j in enumerate(gone.tolist()):
        fits = [np.polyfit(x[:, k], x[:, j], 1, full=True) for k in kept.tolist()]
        best = int(np.argmin([f[1][0] for f in fits]))
        np.testing.assert_allclose(mix[row, best], fits[best][0][0], rtol=1e-6)
        np.testing.assert_allclose(constant[row], fits[best][0][1], rtol=1e-6)
        assert int((mix[row] != 0).sum()) == 1
    mix, constant = by_mean(mean, gone, kept)
    assert not mix.any()
    np.testing.assert_allclose(constant, x.mean(0)[gone])


def test_dead_channels_and_few_samples_give_finite_weights():
    net = network()
    with torch.no_grad():
        net.n.weight[:4] = 0.0
        net.n.bias[:4] = -1.0
    for how in ("bias", "merge", "weights", "least-squares-once", "least-squares"):
        small, _ = repaired(copy.deepcopy(net), {"a": KEEP}, how, n=2)
        assert all(torch.isfinite(v).all() for v in small.state_dict().values()), how


def test_unknown_repairs_and_missing_data_are_refused():
    net = network()
    graph = sc.trace(net, images(1))
    plan = plan_from_keep(graph, {"a": np.array(KEEP)}, "test", {})
    with pytest.raises(sc.InputError, match="there is no 'glue'"):
        repair_("glue", net, Removal(net, graph, plan, images(2)))
    with pytest.raises(sc.InputError, match="got none"):
        repair_("merge", net, Removal(net, graph, plan))
