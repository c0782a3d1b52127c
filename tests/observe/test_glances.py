"""What methods see of the feature maps, against plain loops on concatenated data."""

import pytest
import torch
from torch import nn

import secateurs as sc
from networks import residual
from secateurs.graph import trace
from secateurs.measure import MapMean
from secateurs.statistics.glances import glances


@pytest.fixture
def images():
    return torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def mean_map(glance):
    maps = glance.maps().double()
    return MapMean(maps.mean(dim=(2, 3)).sum(dim=0), len(maps))


def test_maps_are_the_inputs_of_the_layers_that_read(images):
    net = residual()
    graph = trace(net, images[:1])
    found = glances(net, graph.free, images, mean_map, batch_size=4)
    with torch.no_grad():
        stem = torch.relu(net.norm(net.stem(images)))
        one = torch.relu(stem + net.one(stem))
        two = torch.relu(one + net.two(one))
        inner = torch.relu(net.one[1](net.one[0](stem)))
    assert torch.allclose(found["one.0"], inner.double().mean(dim=(0, 2, 3)), atol=1e-6)
    expected = sum(
        x.double().mean(dim=(0, 2, 3)) for x in (stem, one, two)
    )  # three layers read the coupled group
    assert torch.allclose(found["stem"], expected, atol=1e-6)


def test_flattened_maps_are_seen_channel_by_channel(images):
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)).eval()
    found = glances(net, trace(net, images[:1]).free, images, mean_map)
    expected = torch.relu(net[0](images)).double().mean(dim=(0, 2, 3))
    assert torch.allclose(found["0"], expected.detach(), atol=1e-6)


def test_grouped_readers_show_every_group(images):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 2, 1)
    ).eval()
    graph = trace(net, images[:1])
    maps = {}
    glances(net, graph.free, images, lambda g: maps.setdefault(g.slot.tensor, g.maps()) is None or None)
    given = torch.relu(net[0](images)).detach()
    assert maps["2.weight"].shape == (10, 4, 16, 8)
    assert torch.equal(maps["2.weight"][:, 1, :8], given[:, 1])
    assert torch.equal(maps["2.weight"][:, 1, 8:], given[:, 5])


def test_contributions_equal_a_loop_over_channels(images):
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3, padding=1, stride=2, bias=False)
    ).eval()
    found = glances(net, trace(net, images[:1]).free, images, sc.methods.thinet().look, batch_size=3)["0"]
    x = torch.relu(net[0](images)).detach()
    parts = [
        nn.functional.conv2d(x[:, c : c + 1], net[2].weight[:, c : c + 1], padding=1, stride=2)
        for c in range(5)
    ]
    z = torch.stack([p.detach().double().ravel() for p in parts])
    assert torch.allclose(found, z @ z.T / 4, rtol=1e-5)  # the mean over four batches of up to three images


def test_taylor_is_the_change_of_the_loss(images):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 6), nn.Flatten()).eval()
    labels = torch.arange(10) % 3
    found = glances(
        net,
        trace(net, images[:1]).free,
        (images, labels),
        sc.methods.taylor().look,
        gradients=True,
        batch_size=4,
    )["0"]
    total = torch.zeros(4, dtype=torch.float64)
    for x, y in zip(images, labels, strict=True):
        a = torch.relu(net[0](x[None])).detach().requires_grad_()
        nn.functional.cross_entropy(net[3](net[2](a)), y[None]).backward()
        total += (a * a.grad).mean(dim=(2, 3)).abs()[0].detach().double()
    assert torch.allclose(found, total / 10, rtol=1e-4, atol=1e-9)
    assert all(p.grad is None or not p.grad.abs().sum() for p in net[0].parameters())


def test_network_is_left_as_it_was(images):
    net = residual().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    glances(net, trace(net, images[:1]).free, images, mean_map)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert net.training
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


@pytest.mark.parametrize("method", [m.name for m in sc.methods.METHODS if m.look is not None])
def test_data_methods_prune_and_prove(method, images):
    result = sc.prune(residual(), images[:1], method=method, macs=0.6, data=images)
    again = sc.prune(residual(), images[:1], method=method, macs=0.6, data=[images[:7], images[7:]])
    assert result.after.macs <= 0.6 * result.before.macs
    if not result.method.startswith(
        ("thinet", "lasso")
    ):  # they sample positions, not images: the sums agree too
        assert again.plan.kept == result.plan.kept


@pytest.mark.parametrize("method", [m.name for m in sc.methods.METHODS if m.needs == "data"])
def test_no_data_is_said_with_the_methods_that_need_none(method, images):
    with pytest.raises(sc.InputError, match=f"'{method}' looks at feature maps and got no data; .*l1-norm"):
        sc.prune(residual(), images[:1], method=method, macs=0.6)


def test_maps_that_are_not_finite_are_refused(images):
    images[3, 0, 0, 0] = float("nan")
    with pytest.raises(sc.InputError, match="NaN or infinite"):
        sc.prune(residual(), torch.zeros(1, 3, 8, 8), method="hrank", macs=0.6, data=images)


def test_identical_maps_go_first():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval()
    with torch.no_grad():
        net[0].weight[4] = net[0].weight[1]
        net[0].bias[4] = net[0].bias[1]
    images = torch.randn(6, 3, 9, 9)
    for method in ("qsfm-ssim", "qsfm-psnr"):
        plan = sc.prune(net, images[:1], method=method, keep=0.8, data=images).plan
        assert len({1, 4} & set(plan.kept["0"])) == 1


@pytest.mark.parametrize("gradients", [False, True])
def test_who_is_told_hears_of_a_few_samples_first_and_gets_the_same(images, gradients):
    graph = trace(residual(), images[:1])
    told = []
    given = {"gradients": gradients, "batch_size": 6}
    found = glances(
        graph.model, graph.free, images, mean_map, progress=lambda *said: told.append(said), **given
    )
    alone = glances(graph.model, graph.free, images, mean_map, **given)
    assert all(torch.equal(found[name], alone[name]) for name in alone)
    assert told == [("look at feature maps", done, 10) for done in (0, 4, 6, 10)]


def test_a_single_batch_is_looked_at_once(images):
    graph = trace(residual(), images[:1])
    told = []
    glances(graph.model, graph.free, images, mean_map, progress=lambda *said: told.append(said))
    assert told == [("look at feature maps", 10, 10)]
