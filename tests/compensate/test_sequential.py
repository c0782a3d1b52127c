import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs.compensate import least_squares_, reconstruct_
from secateurs.contracts import Order, Ranking
from secateurs.planning import plan_from_keep
from secateurs.surgery.tandem import GIB, Tandem, operation


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv1, self.bn1 = nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv4, self.bn4 = nn.Conv2d(12, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        x = F.relu(x + self.bn4(self.conv4(F.relu(self.bn3(self.conv3(x))))))
        return self.head(x.mean((2, 3)))


def trained_like(model: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 0, 0.3)
            m.running_mean.normal_(0, 0.1)
            m.running_var.uniform_(0.3, 1.0)
    return model.eval()


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def pruned(model, keep):
    graph = sc.trace(model, images(1))
    plan = plan_from_keep(graph, {k: np.array(v) for k, v in keep.items()}, "test", {})
    return sc.remove(model, plan), plan


def error(a, b, x):
    with torch.no_grad():
        return float((a(x) - b(x)).square().mean() / a(x).var())


def test_repair_lowers_the_error_on_other_samples_and_leaves_the_original():
    model = trained_like(Block())
    before = copy.deepcopy(model.state_dict())
    small, plan = pruned(model, {"conv1": range(6), "conv3": range(6)})
    plain = error(model, small, images(64, 1))
    once, twice = copy.deepcopy(small), copy.deepcopy(small)
    least_squares_(once, model, plan, images(400), rounds=0)
    least_squares_(twice, model, plan, images(400), rounds=2)
    refitted, refined = error(model, once, images(64, 1)), error(model, twice, images(64, 1))
    assert refitted < 0.6 * plain
    assert refined < 0.9 * refitted
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_first_layer_equals_lstsq_on_all_rows():
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(6)})
    x = images(50)
    least_squares_(small, model, plan, x, rounds=0, ridge=1e-12)
    with torch.no_grad():
        s = F.relu(model.stem(x))
        inner = F.relu(small.bn1(small.conv1(s)))
        wanted = model.bn2(model.conv2(F.relu(model.bn1(model.conv1(s)))))
        rows = F.unfold(inner, 3, padding=1).transpose(1, 2).reshape(-1, 54).double()
        design = torch.cat([rows, torch.ones(len(rows), 1).double()], 1)
        targets = wanted.permute(0, 2, 3, 1).reshape(-1, 8).double()
        best = design @ torch.linalg.lstsq(design, targets).solution
        found = small.bn2(small.conv2(inner)).permute(0, 2, 3, 1).reshape(-1, 8).double()
    torch.testing.assert_close(found, best, rtol=1e-4, atol=1e-4)


def test_removing_duplicates_changes_nothing():
    model = trained_like(Block())
    with torch.no_grad():
        model.conv1.weight[6:] = model.conv1.weight[:6]
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(model.bn1, name)[6:] = getattr(model.bn1, name)[:6]
    small, plan = pruned(model, {"conv1": range(6)})
    assert error(model, small, images(32)) > 1e-3
    least_squares_(small, model, plan, images(200))
    assert error(model, small, images(32, 5)) < 1e-8


@pytest.mark.parametrize("kill", ["dead", "constant"])
def test_dead_and_constant_channels_do_no_harm(kill: str):
    model = trained_like(Block())
    with torch.no_grad():
        model.bn1.weight[:3] = 0.0
        model.bn1.bias[:3] = -1.0 if kill == "dead" else 1.0
        model.bn4.weight[2] = 0.0
    small, plan = pruned(model, {"conv1": range(8)})
    repair = least_squares_(small, model, plan, images(8))  # and very few samples
    assert all(torch.isfinite(v).all() for v in small.state_dict().values())
    assert all(np.isfinite(v) for v in repair.unexplained.values())


class Chain(nn.Module):
    """Depthwise, grouped, transposed and linear readers, with and without batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)
        self.dw, self.m = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 10, 1)
        self.t = nn.ConvTranspose2d(10, 6, 2, stride=2)
        self.c = nn.Conv2d(6, 6, 3, bias=False)
        self.d, self.e = nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, x):
        x = F.relu6(self.m(self.dw(F.relu6(self.n(self.a(x))))))
        x = F.silu(self.t(F.relu(self.b(x))))
        x = self.c(x).mean((2, 3))
        return self.e(F.gelu(self.d(x)))


def test_other_kinds_of_layers_are_repaired():
    model = trained_like(Chain())
    graph = sc.trace(model, images(1))
    keep = {g.name: range(g.size * 2 // 3) for g in graph.free}
    small, plan = pruned(model, keep)
    plain = error(model, small, images(64, 1))
    repair = least_squares_(small, model, plan, images(500))
    assert {"b", "t", "c", "e"} <= set(repair.unexplained)
    assert error(model, small, images(64, 1)) < 0.7 * plain


def test_survey_orders_measure_and_plan():
    from secateurs.survey import survey

    model = trained_like(Block())
    graph = sc.trace(model, images(1))
    found = survey(model, graph, images(200), levels=(0.25, 0.5, 1.0), measured=100)
    assert isinstance(found.ranking(graph), Ranking)
    assert set(found.orders) == {g.name for g in graph.free}
    for name, curve in found.curves.items():
        damages = [d for _, d in curve]
        assert damages == sorted(damages), name
        assert isinstance(found.orders[name], Order)
    plan = sc.plan(found.ranking(graph), macs=0.6, allocate=found.sensitivity())
    assert plan.predicted["macs"] <= 0.6 * graph.costs.macs()
    same = survey(model, graph, images(200), levels=(0.25, 0.5, 1.0), measured=100)
    assert same == found


def test_reconstruct_lowers_what_least_squares_left():
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(6), "conv3": range(6)})
    least_squares_(small, model, plan, images(400), rounds=0)
    repaired = error(model, small, images(64, 1))
    report = reconstruct_(small, model, plan, images(400), epochs=10, batch=40)
    assert error(model, small, images(64, 1)) < 0.95 * repaired
    held = images(400)[-40:]  # what is not trained on, the last tenth, is what the report speaks of
    with torch.no_grad():
        y, z = (net(held) - net(held).mean(1, keepdim=True) for net in (model, small))
    relative = (y - z).square().sum() / (y - y.mean(0)).square().sum()
    assert report.unexplained["outputs"] == pytest.approx(float(relative), rel=1e-3)
    with pytest.raises(sc.InputError, match="epochs"):
        reconstruct_(small, model, plan, images(8), epochs=0)
    with pytest.raises(sc.InputError, match="too few to train on"):
        reconstruct_(small, model, plan, images(1))


def test_reconstruct_that_does_not_help_changes_nothing():
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(6), "conv3": range(6)})
    least_squares_(small, model, plan, images(200), rounds=0)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    reconstruct_(small, model, plan, images(200), epochs=1, learning_rate=1e3, batch=20)
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())


def test_reconstruct_shows_both_networks_what_augment_makes():
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(6)})
    shapes = []

    def flipped(x, generator):
        shapes.append(tuple(x.shape))
        return x.flip(3) if int(torch.randint(2, (), generator=generator)) else x

    reconstruct_(small, model, plan, images(100), epochs=2, batch=20, augment=flipped)
    assert shapes == [(20, *images(1).shape[1:])] * 8  # four of five batches, twice


def test_few_samples_and_odd_data_are_remarked_on():
    model = trained_like(Block())
    with torch.no_grad():  # statistics as of the data
        first = model.conv1(F.relu(model.stem(images(200))))
        model.bn1.running_mean.copy_(first.mean((0, 2, 3)))
        model.bn1.running_var.copy_(first.var((0, 2, 3)))
    small, plan = pruned(model, {"conv1": range(6)})
    fine = least_squares_(copy.deepcopy(small), model, plan, images(100), rounds=0)
    assert not fine.remarks  # the time
    few = least_squares_(copy.deepcopy(small), model, plan, images(1), rounds=0)
    assert any("only 64 rows of data for 54 inputs" in remark for remark in few.remarks)
    odd = least_squares_(copy.deepcopy(small), model, plan, 100 * images(100), rounds=0)
    assert any("normalisation" in remark for remark in odd.remarks)


def test_first_layers_see_fewer_samples_where_memory_is_little():
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(6)})
    report = least_squares_(small, model, plan, images(300), rounds=0, memory=1e-9)
    assert report.samples == 300
    assert any("100 of 300 samples" in remark for remark in report.remarks)


def test_waiting_samples_come_to_where_the_others_are():
    model = trained_like(Block())
    small, _ = pruned(model, {"conv1": range(6)})
    chunks = [tuple(x) for x in zip(images(300).split(100), strict=True)]
    whole = Tandem(model, small, chunks)
    last = max(i for i, node in enumerate(whole.full.nodes) if operation(node) == "linear")
    whole.advance(last)
    widest = sum(front.widest(last) for front in whole._fronts)
    little = Tandem(model, small, chunks, memory=2.5 * widest / GIB)
    little.advance(min(i for i, node in enumerate(little.full.nodes) if operation(node) == "relu"))
    assert len(little.chunks) == 1
    little.advance(last)
    assert len(little.chunks) == 2
    for here, there in zip(little.chunks, whole.chunks[:2], strict=True):
        for net, other in zip(here, there, strict=True):
            assert set(net) == set(other)
            for place, value in net.items():
                assert torch.equal(value, other[place])


def test_a_single_channel_before_a_flatten_is_followed():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(588, 3)).eval()
    images = torch.randn(64, 3, 9, 9)
    result = sc.prune(net, images[:1], method="l1-norm", data=images, keep=1 / 12, compensate="least-squares")
    plain = sc.prune(net, images[:1], method="l1-norm", data=images, keep=1 / 12)
    wanted = net(images)
    assert (result.model(images) - wanted).square().mean() < (plain.model(images) - wanted).square().mean()


def test_damage_is_measured_on_samples_that_the_moments_have_not_seen():
    from secateurs.survey import survey

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    ).eval()
    graph = sc.trace(net, images(1))
    found = survey(net, graph, torch.randn(200, 3, 8, 8), levels=(0.5,), limit=200)
    (curve,) = found.curves.values()
    assert found.samples == 200
    # 32 pooled inputs refitted on the 100 samples that measure would leave next to nothing of the error.
    again = survey(net, graph, torch.randn(100, 3, 8, 8), levels=(0.5,), limit=100)
    assert curve[0][1] > 1.2 * again.curves["0"][0][1]
