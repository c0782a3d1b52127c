"""FP-OMP Search, HBGS and HBGTS as published, replayed in plain loops on a small network."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from published_linear import Framed, by_backward, by_omp
from secateurs.allocate import Search
from secateurs.allocate.found import Check, _compared
from secateurs.compensate.combination import combine_
from secateurs.plans import plan_from_keep

LAYERS = ("a", "b", "c")
BATCH = 3


class Small(nn.Module):
    """Three framed convolutions behind a stem, with a shortcut around two of them."""

    def __init__(self):
        super().__init__()
        for name, (i, o) in {"stem": (3, 8), "a": (8, 10), "b": (10, 8), "c": (8, 12)}.items():
            setattr(self, name, nn.Conv2d(i, o, 3, padding=1, bias=False))
            setattr(self, f"norm_{name}", nn.BatchNorm2d(o))
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.relu(self.norm_stem(self.stem(x)))
        y = torch.relu(self.norm_a(self.a(x)))
        x = torch.relu(x + self.norm_b(self.b(y)))
        return self.head(torch.relu(self.norm_c(self.c(x))).mean((2, 3)))


def pictures():
    return torch.randn(70, 3, 6, 6, generator=torch.Generator().manual_seed(5)).double()


@pytest.fixture(scope="module", params=[0, 1])
def network(request):
    torch.manual_seed(request.param)
    net = Small().double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    net.eval()
    with torch.no_grad():  # classes that differ from sample to sample
        net.head.bias -= net(pictures()).mean(0)
    return net


@pytest.fixture(scope="module")
def data(network):
    """Samples and labels, most of which are the network's own classes."""
    x = pictures()
    labels = network(x).argmax(1)
    labels[::6] = torch.arange(len(labels[::6])) % 4
    return x, labels


class Loop:
    """A published search: the frames by name, and the selections that wait."""

    def __init__(self, net, data, rule):
        self.net, self.data, self.rule = net, data, rule
        self.frames = {name: Framed(net.get_submodule(name).weight.detach().numpy()) for name in LAYERS}
        self.waiting = {}

    def built(self, frames):
        net = copy.deepcopy(self.net)
        for name, frame in frames.items():
            net.get_submodule(name).weight.data = torch.from_numpy(frame.folded())
        return net

    def seen(self, net, name):
        """What a layer is given and what it gives."""
        found = []
        layer = net.get_submodule(name)
        handle = layer.register_forward_hook(lambda _m, given, out: found.append((given[0], out)))
        with torch.no_grad():
            net(self.data[0])
        handle.remove()
        return found[0]

    def cut(self, name, side, again):
        """All frames with one side of one layer cut; None where the side is too small."""
        frames = copy.deepcopy(self.frames)
        frame = frames[name]
        many = frame.w.shape[0 if side == "out" else 1]
        if many <= BATCH:
            return None
        if again or (name, side) not in self.waiting:
            choose = frame.choose_outputs if side == "out" else frame.choose_inputs
            self.waiting[name, side] = choose(BATCH, self.rule)
        (frame.cut_outputs if side == "out" else frame.cut_inputs)(*self.waiting[name, side])
        return frames


def fp_omp_search(loop, removed):
    """Accuracy of every candidate; of a layer's two sides the better, and neither where they are equal."""
    gone = 0
    while gone < removed:
        best, best_right = None, -1
        for name in LAYERS:
            right = {}
            for side in ("out", "in"):
                frames = loop.cut(name, side, again=True)
                if frames is not None:
                    with torch.no_grad():
                        found = loop.built(frames)(loop.data[0]).argmax(1)
                    right[side] = int((found == loop.data[1]).sum()), frames
            if len(right) == 2 and right["out"][0] == right["in"][0]:
                continue
            if right:
                count, frames = max(right.values(), key=lambda one: one[0])
                if count > best_right:
                    best, best_right = frames, count
        assert best is not None
        loop.frames = best
        gone += BATCH
    return loop


def hierarchical(error):
    def search(loop, removed):
        gone = 0
        while gone < removed:
            found = {}
            for side in ("out", "in"):  # the outputs first, where errors are equal
                for name in LAYERS:
                    frames = loop.cut(name, side, again=False)
                    if frames is not None:
                        found[name, side] = error(loop, name, frames), frames
            (name, side), (_, loop.frames) = min(found.items(), key=lambda one: one[1][0])
            del loop.waiting[name, side]
            gone += BATCH
        return loop

    return search


def of_the_layer(loop, name, frames):
    """Relative error of the layer's own output on what reaches it in the present network."""
    given, _ = loop.seen(loop.built(loop.frames), name)
    _, original = loop.seen(loop.net, name)
    with torch.no_grad():
        now = loop.built(frames).get_submodule(name)(given)
    return float((now - original).norm() / original.norm())


def of_the_last_norm(loop, name, frames):
    _, original = loop.seen(loop.net, "norm_c")
    _, now = loop.seen(loop.built(frames), "norm_c")
    return float((now - original).norm() / original.norm())


SEARCHES = {
    "fp-omp-search": (fp_omp_search, by_omp),
    "hbgs": (hierarchical(of_the_layer), by_omp),
    "hbgs-b": (hierarchical(of_the_layer), by_backward),
    "hbgts": (hierarchical(of_the_last_norm), by_omp),
    "hbgts-b": (hierarchical(of_the_last_norm), by_backward),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_faithful_searches_are_the_published_ones(network, data, name):
    search, rule = SEARCHES[name]
    keep, units = 0.55, 56
    loop = search(Loop(network, data, rule), (1 - keep) * units)
    example = data[0][:1]
    result = sc.prune(
        network, example, method=f"{name}:batch={BATCH},faithful", keep=keep, data=data, calibrate=70
    )
    assert (result.allocate, result.compensate) == ("search", "weights")
    for layer, frame in loop.frames.items():
        assert list(result.plan.kept.get(f"{layer}.conv", range(len(frame.z)))) == frame.outputs
        assert list(result.plan.kept.get(f"{layer}.enter", range(frame.y.shape[1]))) == frame.inputs
    with torch.no_grad():
        want, found = loop.built(loop.frames)(data[0]), result.model(data[0])
    assert torch.allclose(found, want, rtol=1e-6, atol=1e-8)
    assert not any("lazy" in remark for remark in result.remarks)


def test_choosing_anew_differs_from_one_order(network, data):
    """Else the test above would show nothing."""
    kept = []
    for choose in ("once", "step"):
        search = Search(batch=BATCH, error="output", choose=choose, lazy=False, data=data)
        plan = sc.prune(
            network, data[0][:1], method="fp-omp", keep=0.5, data=data, allocate=search, frame=True
        ).plan
        kept.append(plan.kept)
    assert kept[0] != kept[1]


def test_a_search_that_chooses_anew_works_without_frames_and_without_repair(network, data):
    for repair in ("none", "weights"):
        result = sc.prune(
            network,
            data[0][:1],
            method="fp-omp-search:faithful,batch=2",
            frame=False,
            compensate=repair,
            keep=0.7,
            data=data,
        )
        assert result.verification.passed
        assert sum(g.kept for g in result.groups if g.status == "pruned") < 38


def test_a_search_that_chooses_anew_goes_down_to_one_unit_a_group(network, data):
    ranking = sc.rank(sc.trace(network, data[0][:1]), "fp-omp")
    found = Search(batch=3, error="output", choose="step", data=data).find(ranking)
    sizes = ranking.graph.costs.sizes
    free = [i for i, group in enumerate(ranking.graph.groups) if group.locked is None]
    assert len(found.sequence) == sum(int(sizes[i]) - 1 for i in free)
    for name, order in found.ranking.orders.items():
        assert sorted(order.units) == list(range(ranking.graph[name].size))
    counts, _ = found.at(np.where(np.isin(np.arange(len(sizes)), free), 1, sizes))
    assert [int(counts[i]) for i in free] == [1] * len(free)


def test_methods_of_data_cannot_choose_anew(network, data):
    with pytest.raises(sc.InputError, match="'step' ranks what is left anew, and 'hrank' needs more"):
        sc.prune(
            network, data[0][:1], method="hrank", keep=0.5, data=data, allocate=Search(batch=2, choose="step")
        )


def test_features_need_a_batch_norm(data):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(1), nn.LazyLinear(4)
    ).double()
    net(data[0])
    with pytest.raises(sc.InputError, match="'features' are the values of the last batch norm"):
        sc.prune(net, data[0][:1], method="hbgts:faithful,batch=2", keep=0.8, data=data)


def test_a_lazy_search_says_how_far_it_is(network, data):
    result = sc.prune(network, data[0][:1], method="hbgts:batch=1", keep=0.6, data=data)
    said = [remark for remark in result.remarks if remark.startswith("search: lazy")]
    assert len(said) == 1
    assert "at 1 of " in said[0]
    whole = sc.prune(network, data[0][:1], method="hbgts:batch=1,lazy=false", keep=0.6, data=data)
    assert not [remark for remark in whole.remarks if "lazy" in remark]


def test_checks_hold_the_scores_of_a_plain_search(network, data):
    ranking = sc.rank(sc.trace(network, data[0][:1]), "fp-omp")
    search = Search(batch=1, error="output", data=data, look=1, lazy=True)
    found = search.until(lambda counts: int(counts.sum()) <= int(ranking.graph.costs.sizes.sum()) - 9).find(
        ranking
    )
    (check,) = found.checks
    sizes, groups = ranking.graph.costs.sizes.copy(), ranking.graph.groups
    for i in found.sequence[:7]:
        sizes[i] -= 1

    def error(counts):
        keep = {
            g.name: np.sort(np.array(ranking.orders[g.name].units[g.size - int(n) :]))
            for g, n in zip(groups, counts, strict=True)
            if g.name in ranking.orders and n < g.size
        }
        small = sc.remove(network, plan_from_keep(ranking.graph, keep, "", {}).cuts())
        combine_(small, ranking.graph, keep)
        with torch.no_grad():
            return float((small(data[0]) - network(data[0])).norm() / network(data[0]).norm())

    now = error(sizes)
    errors = {}
    for i, group in enumerate(groups):
        if group.name in ranking.orders and sizes[i] > 1:
            errors[i] = error(sizes - (np.arange(len(sizes)) == i)) - now
    assert check.step == 8
    assert check.best == pytest.approx(min(errors.values()), abs=1e-9)
    assert check.best == pytest.approx(errors[int(found.sequence[7])], abs=1e-9)
    assert any(check.lazy == pytest.approx(value, abs=1e-9) for value in errors.values())


def test_comparisons_in_words():
    assert (
        _compared((), 5)
        == "none of its 5 steps was compared with a search that scores every group (`lazy=false`)"
    )
    checks = (Check(8, 0.5, 0.5), Check(32, 0.25, 0.125))
    assert _compared(checks, 40) == (
        "at 2 of 40 steps all groups were scored, and its choice was the best at 1 (score 0.25 where 0.125 was to be "
        "had at step 32; the best was taken)"
    )


def test_samples_that_are_left_out_are_said(network):
    x = torch.randn(67, 3, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    result = sc.prune(network, x[:1], method="hbgts", keep=0.8, data=x)
    assert any("search: 1 of the samples were left out" in remark for remark in result.remarks)
