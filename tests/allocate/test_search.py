"""The whole-network search, against one that cuts and runs every candidate, written out here."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs.allocate import Search
from secateurs.allocate.scoring import Rebuilt, Replayed, error_of, samples, scores_for
from secateurs.compensate.combination import Combination, combine_
from secateurs.graph import Tracer
from secateurs.graph.framed import framed, in_frames
from secateurs.plans import plan_from_keep
from secateurs.surgery.remove import silence


def pictures(count=48, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 8, 8, generator=generator)
    return x, torch.randint(0, 5, (count,), generator=generator)


def traced(frame):
    net = residual(width=8, inner=12)
    if not frame:
        return sc.trace(net, EXAMPLE)
    whole, names = in_frames(net, EXAMPLE)
    return framed(Tracer(whole, EXAMPLE).graph(), names)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "frames"])
def graph(request):
    return traced(request.param)


@pytest.fixture(scope="module")
def ranking(graph):
    return sc.rank(graph, sc.methods.fp_omp())


@pytest.fixture
def scores(graph):
    return Replayed(graph, *samples(pictures(), 48, 16)[:2], "divergence")


def divergence(small, net, x):
    with torch.no_grad():
        p, q = net(x).double().softmax(1), small(x).double().softmax(1)
    return float((p * (p / q).log()).sum(1).mean())


def candidate(graph, keep):
    small = sc.remove(graph.original, plan_from_keep(graph, keep, "", {}).cuts())
    combine_(small, graph, keep)
    return small


def kept(ranking, counts):
    result = {}
    for group in ranking.graph.free:
        units = ranking.orders[group.name].units
        if counts[group.name] < group.size:
            result[group.name] = np.sort(np.array(units[group.size - counts[group.name] :]))
    return result


def brute_force(ranking, batch, steps, x):
    """Names of the groups that give, by cutting and running every candidate on everything."""
    graph = ranking.graph
    counts = {g.name: g.size for g in graph.free}
    order = []
    for _ in range(steps):
        errors = {}
        for name in counts:
            if counts[name] > batch:
                keep = kept(ranking, {**counts, name: counts[name] - batch})
                errors[name] = divergence(candidate(graph, keep), graph.original, x)
        best = min(errors, key=errors.get)
        counts[best] -= batch
        order.extend([best] * batch)
    return order, errors[best]


def test_search_is_the_brute_force_search(graph, ranking):
    x, _ = pictures()
    steps = 4
    wanted, error = brute_force(ranking, 2, steps, x)
    sizes = graph.costs.sizes
    search = Search(batch=2, data=x, images=48, lazy=False).until(
        lambda counts: (sizes - counts).sum() >= 2 * steps
    )
    found = search.find(ranking)
    names = [g.name for g in graph.groups]
    assert [names[i] for i in found.sequence] == wanted
    assert found.errors[-1] == pytest.approx(error, rel=1e-3, abs=1e-6)
    assert found.trials == found.plain


def test_scores_are_those_of_the_rebuilt_network(graph, scores):
    x, labels = pictures()
    rng = np.random.default_rng(0)
    rebuilt = {kind: Rebuilt(graph, *samples((x, labels), 48)[:2], kind) for kind in ("output", "divergence")}
    keep = {}
    for group in graph.free:
        keep = {**keep, group.name: np.sort(rng.permutation(group.size)[: group.size // 2])}
        small = candidate(graph, keep)
        assert scores.trial(group.name, keep) == pytest.approx(divergence(small, graph.original, x), rel=1e-3)
        with torch.no_grad():
            gap = (small(x) - graph.original(x)).norm() / graph.original(x).norm()
        assert rebuilt["output"].trial(group.name, keep) == pytest.approx(float(gap), rel=1e-4)
        assert rebuilt["divergence"].trial(group.name, keep) == pytest.approx(
            scores.trial(group.name, keep), rel=1e-3
        )
        scores.take(group.name, keep)
    assert scores.passes < 1 + 2 * len(graph.free)


def test_a_committed_candidate_is_where_the_next_starts(graph, scores):
    groups = list(graph.free)
    keep = {groups[-1].name: np.arange(groups[-1].size - 3)}
    first = scores.trial(groups[-1].name, keep)
    scores.take(groups[-1].name, keep)
    assert scores.trial(groups[-1].name, keep) == pytest.approx(first, rel=1e-6)
    both = {**keep, groups[0].name: np.arange(groups[0].size - 3)}
    x, _ = pictures()
    assert scores.trial(groups[0].name, both) == pytest.approx(
        divergence(candidate(graph, both), graph.original, x), rel=1e-3
    )


def test_layer_error_is_that_of_the_layers_own_output():
    graph = traced(False)
    x, _ = pictures()
    scores = Replayed(graph, *samples(x, 48, 16)[:2], "layer")
    keep = {"one.0": np.arange(0, 12, 2)}
    silent = silence(graph.model, graph.silenced(keep))
    with torch.no_grad():
        silent.one[3].weight.copy_(Combination(graph).weights(keep)["one.3.weight"])
        outputs = []
        for net in (graph.model, silent):
            handle = net.one[3].register_forward_hook(lambda _m, _i, y: outputs.append(y))
            net(x)
            handle.remove()
    want = float((outputs[1] - outputs[0]).norm() / outputs[0].norm())
    assert scores.trial("one.0", keep) == pytest.approx(want, rel=1e-4)
    before = scores.passes
    scores.trial("one.0", keep)
    assert scores.passes - before < 0.7  # not the whole network


def test_stand_ins_by_maps_are_least_squares_of_the_maps():
    graph = traced(False)
    x, _ = pictures()
    scores = Replayed(graph, *samples(x, 48, 16)[:2], "output", "maps")
    kept_units = np.array([0, 2, 3, 7, 9])
    seen = []
    handle = graph.model.one[3].register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        graph.model(x)
    handle.remove()
    maps = seen[0].transpose(0, 1).flatten(1).double().numpy()
    mix = np.linalg.lstsq(maps[kept_units].T, maps.T, rcond=None)[0].T
    small = sc.remove(graph.model, plan_from_keep(graph, {"one.0": kept_units}, "", {}))
    with torch.no_grad():
        weight = graph.model.one[3].weight.double().numpy()
        small.one[3].weight.copy_(torch.from_numpy(np.einsum("ojhw,jl->olhw", weight, mix)))
        gap = (small(x) - graph.model(x)).norm() / graph.model(x).norm()
    assert scores.trial("one.0", {"one.0": kept_units}) == pytest.approx(float(gap), rel=1e-3)


def test_lazy_search_scores_less_and_ends_near_the_full_one(ranking):
    sizes = ranking.graph.costs.sizes
    search = Search(batch=1, data=pictures(), images=48, look=1).until(
        lambda counts: (sizes - counts).sum() >= 10
    )
    lazy = search.find(ranking)
    assert lazy.trials < 0.8 * lazy.plain
    assert lazy.passes < lazy.trials + 2
    assert len(lazy.sequence) == 10


def test_searches_nest_and_repeat():
    net, data = residual(width=12, inner=16), pictures()
    method = sc.methods.fp_omp_search(batch=3)
    plans = [sc.prune(net, EXAMPLE, method=method, macs=m, data=data).plan for m in (0.8, 0.5, 0.5)]
    assert plans[1].to_json() == plans[2].to_json()
    for name, size in plans[0].sizes.items():
        larger, smaller = (set(p.kept.get(name, range(size))) for p in plans[:2])
        assert smaller <= larger


@pytest.mark.parametrize("name", ["fp-omp-search", "hbgs", "hbgts", "hbgs-b", "hbgts-b"])
def test_the_published_searches_run_by_name(name):
    net = residual(width=12, inner=16)
    result = sc.prune(net, EXAMPLE, method=name, macs=0.6, data=pictures())
    assert (result.method, result.allocate, result.compensate) == (name, "search", "weights")
    assert result.after.macs <= 0.6 * result.before.macs
    plain = sc.prune(
        net, EXAMPLE, method=name, macs=0.6, data=pictures(), allocate="uniform", compensate="none"
    )
    assert (plain.allocate, plain.compensate) == ("uniform", "none")


def test_what_prune_returns_is_what_the_search_scored():
    net, (x, y) = residual(width=12, inner=16), pictures()
    seen = []
    result = sc.prune(
        net,
        EXAMPLE,
        method=sc.methods.fp_omp_search(batch=4),
        keep=0.7,
        frame=True,
        data=(x, y),
        allocate=Search(
            batch=4, data=x, progress=lambda stage, done, total: seen.append((stage, done, total))
        ),
    )
    assert seen
    assert all(stage == "search" and done <= total for stage, done, total in seen)
    small = candidate_of(net, result)
    assert torch.allclose(small(x), result.model(x), atol=1e-4)


def candidate_of(net, result):
    whole, names = in_frames(net, EXAMPLE)
    graph = framed(Tracer(whole, EXAMPLE).graph(), names)
    return candidate(graph, {n: np.array(u) for n, u in result.plan.kept.items()})


def test_exceptions_and_multiples_are_kept_to():
    net = residual(width=16, inner=24)
    method = sc.methods.fp_omp_search(batch=3)
    result = sc.prune(
        net, EXAMPLE, method=method, macs=0.5, data=pictures(), round_to=4, layers={"one.0": 0.5}
    )
    found = {g.name: g.kept for g in result.groups if g.status != "locked"}
    assert found["one.0"] == 12
    assert all(count % 4 == 0 for count in found.values())


def test_groups_no_larger_than_the_batch_wait_for_the_end():
    net = residual(width=4, inner=24)
    ranking = sc.rank(sc.trace(net, EXAMPLE), sc.methods.fp_omp())
    found = Search(batch=8, data=pictures()).find(ranking)
    names = [g.name for g in ranking.graph.groups]
    order = [names[i] for i in found.sequence]
    assert order.index("stem") >= 2 * 2 * 8
    assert sorted(order) == sorted(["stem"] * 3 + ["one.0"] * 23 + ["two.0"] * 23)


class Odd(nn.Module):
    """torch.export cannot follow a branch on values."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.a(x))
        if float(x.sum()) < 0:
            x = x + 1
        return self.c(self.b(x).mean((2, 3)))


def test_networks_that_cannot_be_replayed_are_rebuilt():
    net = Odd().eval()
    ranking = sc.rank(sc.trace(net, EXAMPLE), sc.methods.fp_omp())
    scores = scores_for(ranking, samples(pictures(), 16), "divergence")
    assert isinstance(scores, Rebuilt)
    assert len(Search(batch=3).find(ranking, scores).sequence)
    with pytest.raises(sc.InputError, match=r"'layer' needs a network that torch.export captures"):
        scores_for(ranking, samples(pictures(), 16), "layer")


def test_errors_as_written_out():
    a, b = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert error_of("output", [a], [b], None) == pytest.approx(2 / 2**0.5)
    assert error_of("accuracy", [a], [b], None) == 0.5
    assert error_of("accuracy", [a], [b], torch.tensor([1, 1])) == 0.0
    p, q = b.softmax(1), a.softmax(1)
    assert error_of("divergence", [a], [b], None) == pytest.approx(float((p * (p / q).log()).sum(1).mean()))


def test_accuracy_with_several_labels_is_the_share_of_answers_that_are_right():
    x, y = pictures(20)
    several = (torch.nn.functional.one_hot(y, 5) + torch.nn.functional.one_hot(y.roll(1), 5)).clamp(max=1)
    chunks, labels, _ = samples((x, several.float()), 20, 8)
    assert torch.equal(labels, several.float())
    assert samples((x, torch.rand(20, 5)), 20, 8).labels is None  # a regression's
    outputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    wrong = sum((outputs[i, k] > 0) != (several[i, k] == 1) for i in range(20) for k in range(5)) / 100
    assert error_of("accuracy", [outputs], [outputs], labels) == pytest.approx(float(wrong))
    with pytest.raises(sc.InputError, match=r"labels have shape \(20, 4\) and the outputs \(20, 5\)"):
        error_of("accuracy", [outputs], [outputs], labels[:, :4])
    ranking = sc.rank(traced(False), "l1-norm")
    for kind in (Replayed, Rebuilt):
        scores = kind(ranking.graph, chunks, labels, "accuracy", "none")
        name = ranking.graph.free[0].name
        keep = {g.name: np.arange(g.size) for g in ranking.graph.free}
        found = torch.cat([ranking.graph.original(*chunk) for chunk in chunks])
        expected = float(((found > 0) != (several > 0)).double().mean())
        assert scores.trial(name, keep) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "batch is 0; give a whole number from 1"),
        ({"images": 0}, "images is 0"),
        ({"look": 0}, "look is 0; give a whole number from 1"),
        ({"error": "loss"}, "error is 'loss'; give divergence, accuracy, output, features, layer"),
        ({"repair": "glue"}, "repair is 'glue'; give none, weights, maps"),
        ({"choose": "never"}, "choose is 'never'; give once, step, turn"),
        ({"ties": "all"}, "ties is 'all'; give first, outputs, neither"),
        ({"coefficients": "some"}, "coefficients is 'some'; give least-squares, published"),
        ({"per": "watts"}, "per is 'watts'"),
        ({"slack": -0.1}, "slack is -0.1"),
    ],
)
def test_settings_out_of_range_are_said(settings, message):
    with pytest.raises(sc.InputError, match=message):
        Search(**settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "fp-omp-search"}, "data: .* got no(ne|ne;| data)"),
        ({"method": "fp-omp", "allocate": "search"}, "data: .* got none"),
        (
            {"method": sc.methods.fp_omp_search(batch=12), "data": pictures()},
            "batch is 12, and the largest group",
        ),
        ({"method": "hbgts", "data": torch.full((4, 3, 8, 8), float("nan"))}, "NaN or infinity"),
        ({"method": "hbgs", "data": torch.full((4, 3, 8, 8), float("nan"))}, "NaN or infinity"),
    ],
)
def test_bad_input_gets_one_clear_sentence(arguments, message):
    with pytest.raises(sc.InputError, match=message):
        sc.prune(residual(), EXAMPLE, macs=0.5, **arguments)


def test_no_data_names_methods_that_need_none():
    ranking = sc.rank(sc.trace(residual(), EXAMPLE), sc.methods.fp_omp())
    with pytest.raises(sc.InputError, match=r"held-out training samples and got none.*l1-norm"):
        sc.plan(ranking, macs=0.5, allocate=Search())


def test_original_is_untouched_by_a_search():
    net = residual().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    sc.prune(net, EXAMPLE, method="hbgts", macs=0.7, data=pictures(), frame=True)
    assert net.training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_samples_come_in_chunks_of_one_size_and_none_is_lost_in_silence():
    x, y = pictures(20)
    chunks, labels, left_out = samples((x, y), 18, 8)
    assert ([len(chunk[0]) for chunk in chunks], left_out) == ([6, 6, 6], 0)
    assert torch.equal(torch.cat([chunk[0] for chunk in chunks]), x[:18])
    assert torch.equal(labels, y[:18])
    assert samples(x, 18, 8).labels is None
    assert list(itertools.chain(*[c[0].shape for c in samples(x[:3], 18, 8).chunks])) == [3, 3, 8, 8]
    for many in range(1, 260):
        cut = samples(torch.zeros(many, 1), 256, 64)
        sizes = {len(chunk[0]) for chunk in cut.chunks}
        assert len(sizes) == 1
        assert max(sizes) <= 64
        assert sum(len(chunk[0]) for chunk in cut.chunks) + cut.left_out == min(many, 256)
        assert (
            cut.left_out <= min(many % size for size in range(min(64, many), 32, -1))
            if many > 32
            else not cut.left_out
        )
