import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs import compensate
from secateurs.compensate import least_squares_, reconstruct_
from secateurs.compensate.reconstruct import trained_on
from secateurs.compensate.walk import refit_, samples_of, stops
from secateurs.contracts import Order, Ranking
from secateurs.network.exported import operation
from secateurs.network.interpreter import GIB
from secateurs.network.paired import PairedNetworks
from secateurs.plans import plan_from_keep


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


def test_first_layer_equals_lstsq_on_all_rows(monkeypatch):
    monkeypatch.setattr("secateurs.compensate.walk._RIDGES", ())
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


@pytest.mark.parametrize("near", [False, True])
def test_reconstruct_of_many_steps_lets_batch_norms_see_their_batches_where_that_helps(near):
    torch.manual_seed(0)
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(3), "conv3": range(3)})
    if near:  # nothing is left but the noise of the batches
        least_squares_(small, model, plan, images(400), rounds=0)
    before, left = copy.deepcopy(small), error(model, small, images(64, 1))
    reconstruct_(small, model, plan, images(400), epochs=56, batch=40)  # 504 steps of batches of 40
    assert error(model, small, images(64, 1)) < 0.8 * left
    assert torch.equal(small.bn1.running_mean, before.bn1.running_mean) == near


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

    reconstruct_(small, model, plan, images(200), epochs=2, batch=20, augment=flipped)
    assert shapes == [(20, *images(1).shape[1:])] * 18  # nine of ten batches, twice


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
    assert report.samples == 60
    assert any("60 of 300 samples" in remark for remark in report.remarks)
    with pytest.raises(sc.InputError, match="memory"):
        least_squares_(small, model, plan, images(300), memory=0)
    assert least_squares_(small, model, plan, images(300), rounds=0, memory=math.inf).samples == 300


def test_waiting_samples_pass_through_the_layers_as_they_are_refitted():
    model = trained_like(Block())
    small, plan = pruned(model, {"conv1": range(6)})
    chunks = [(x,) for x in images(300).split(100)]
    pair = PairedNetworks(model, small, chunks)
    last = max(i for i, node in enumerate(pair.full.net.nodes) if operation(node) == "linear")
    pair.advance(last)
    memory = 2.5 * sum(front.widest(last) for front in pair.fronts) / GIB
    pair = PairedNetworks(model, small, chunks, memory=memory)
    stop = next(s for s in stops(pair, plan, ridge=1e-5, seed=0) if s.block.layer.name == "conv2")
    pair.advance(stop.block.first())
    assert len(pair.chunks) == 1
    refit_(stop)
    pair.advance(last)
    assert len(pair.chunks) == 2
    source = pair.small.net.given(last, 0)
    for number, (full, pruned_) in enumerate(pair.chunks):
        torch.testing.assert_close(model.head(pair.full.pull(source, full)), model(chunks[number][0]))
        torch.testing.assert_close(small.head(pair.small.pull(source, pruned_)), small(chunks[number][0]))


@pytest.mark.parametrize("count", [120, 200])
def test_reconstruct_of_few_samples_is_no_worse_than_least_squares(count):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(432, 3)).eval()
    graph = sc.trace(net, images(1))
    plan = plan_from_keep(graph, {"0": np.arange(6)}, "test", {})
    errors = {}
    for how in ("least-squares", "reconstruct"):
        small = sc.remove(net, plan)
        compensate.repair_(how, small, compensate.Removal(net, graph, plan, images(count)))
        errors[how] = error(net, small, images(500, 1))
    assert errors["reconstruct"] < 1.15 * errors["least-squares"]


@pytest.mark.parametrize("count", [2, 7, 19, 101, 150, 999, 1234, 3000])
def test_a_tenth_is_kept_from_the_training(count):
    fitted = trained_on(count)
    assert 0 < fitted < count
    assert fitted >= min(0.8 * count, count - 2)


def test_samples_are_dealt_so_that_no_chunk_is_of_one_class():
    ramp = torch.arange(300.0)[:, None, None, None].expand(300, 1, 2, 2)
    chunks = samples_of(ramp, 300, torch.device("cpu"))
    assert len(chunks) == 5
    for (chunk,) in chunks:
        assert float(chunk.min()) < 5
        assert float(chunk.max()) > 294
    assert sorted(torch.cat([c[0][:, 0, 0, 0] for c in chunks]).tolist()) == list(range(300))


@pytest.mark.parametrize("how", ["least-squares", "reconstruct"])
def test_a_single_channel_before_a_flatten_is_followed(how):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(588, 3)).eval()
    images = torch.randn(64, 3, 9, 9)
    result = sc.prune(net, images[:1], method="l1-norm", data=images, keep=1 / 12, compensate=how)
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
    few = survey(net, graph, torch.randn(100, 3, 8, 8), levels=(0.5,), limit=100)
    many = survey(net, graph, torch.randn(2000, 3, 8, 8), levels=(0.5,), limit=2000, orders=few.orders)
    assert (few.samples, many.samples) == (100, 2000)
    # 32 pooled inputs refitted on the samples that measure would leave but a part of the error.
    assert few.curves["0"][0][1] > 0.9 * many.curves["0"][0][1]
    with pytest.raises(sc.InputError, match="memory"):
        survey(net, graph, torch.randn(100, 3, 8, 8), memory=-1)


def test_a_layer_too_wide_to_be_refitted_gets_its_bias_right(monkeypatch):
    from secateurs.survey import survey

    for place in ("compensate.walk", "compensate.refine", "survey"):
        monkeypatch.setattr(f"secateurs.{place}.WIDEST", 200)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(432, 3)).eval()
    small, plan = pruned(net, {"0": range(6)})
    x = images(200)
    with torch.no_grad():
        weight, bias = small[3].weight.clone(), small[3].bias + (net(x) - small(x)).mean(0)
    report = least_squares_(small, net, plan, x, rounds=0)
    assert torch.equal(small[3].weight, weight)
    torch.testing.assert_close(small[3].bias, bias)
    with torch.no_grad():
        left = (net(x) - small(x)).square().sum() / net(x).square().sum()
    assert report.unexplained["3"] == pytest.approx(float(left), rel=1e-3)
    assert any("too wide to be refitted" in remark for remark in report.remarks)
    found = survey(net, sc.trace(net, images(1)), x, levels=(0.5,))
    assert len(found.orders["0"].units) == 12
    assert found.curves["0"][0][1] > 0
