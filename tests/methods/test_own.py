"""Criteria from outside: functions, methods put together by hand, and what is said of wrong ones."""

import numpy as np
import pytest
import torch

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs import methods, represent, select
from secateurs.contracts import Order
from secateurs.graph import trace


def linf(filters):
    return filters.abs().amax(dim=1)


def largest(net, *layers):
    return sum(layer.weight.detach().double().flatten(1).abs().amax(dim=1) for layer in layers).numpy()


def test_a_function_of_the_filters_is_a_method():
    net = residual()
    result = sc.prune(net, EXAMPLE, method=linf, keep=0.5)
    worth = largest(net, net.one[0])
    count = len(result.plan.kept["one.0"])
    assert set(result.plan.kept["one.0"]) == set(np.argsort(worth, kind="stable")[-count:].tolist())
    assert result.method == f"{__name__}:linf"


def test_scores_of_coupled_layers_add_up():
    net = residual()
    order = sc.rank(trace(net, EXAMPLE), linf).orders["stem"]
    worth = largest(net, net.stem, net.one[3], net.two[2])
    assert order.units == tuple(np.argsort(worth, kind="stable").tolist())


@pytest.mark.parametrize("convert", [lambda x: x.tolist(), lambda x: x.numpy(), lambda x: x.float()])
def test_scores_may_be_any_numbers(convert):
    graph = trace(residual(), EXAMPLE)
    found, plain = (sc.rank(graph, method).orders for method in (lambda f: convert(linf(f)), linf))
    assert {name: order.units for name, order in found.items()} == {n: o.units for n, o in plain.items()}


def test_names_and_methods_and_functions_mean_the_same_to_rank():
    graph = trace(residual(), EXAMPLE)
    given = ("l1-norm", "l1_norm", methods.l1_norm(), sc.measure.l1_norm)
    orders = [sc.rank(graph, method).orders for method in given]
    assert all(found == orders[0] for found in orders)


def test_a_method_of_three_parts_from_outside():
    order = methods.Composition(represent.Filters(), linf, select.by_redundancy)
    method = methods.Method("largest-leave", "filters with the largest weight", order)
    net = residual()
    found = sc.rank(trace(net, EXAMPLE), method)
    assert found.method == "largest-leave"
    assert found.orders["one.0"].units == tuple(np.argsort(-largest(net, net.one[0]), kind="stable").tolist())


def test_a_data_method_of_three_parts_from_outside():
    """APoZ: how often a map is zero; the most often zero leaves first."""

    def zeros(maps):
        return sc.measure.MapMean((maps == 0).double().mean(dim=(2, 3)).sum(dim=0), len(maps))

    order = methods.FromData(represent.FeatureMaps(), zeros, select.by_redundancy)
    net, images = residual(), torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    method = methods.Method("apoz", "filters whose maps are mostly zero", order)
    kept = sc.prune(net, images[:1], method=method, keep=0.5, data=images).plan.kept["one.0"]
    with torch.no_grad():
        stem = torch.relu(net.norm(net.stem(images)))
        share = (torch.relu(net.one[1](net.one[0](stem))) == 0).double().mean(dim=(0, 2, 3)).numpy()
    assert set(kept) == set(np.argsort(-share, kind="stable")[-len(kept) :].tolist())


def test_a_stage_sees_what_it_needs_of_the_group():
    """Filters weighed by the weights that read them, in three parts."""

    def product(lengths, reads):
        return Order(tuple(torch.argsort(lengths * reads, stable=True).tolist()))

    reads = methods.Scores(represent.ConsumerWeights(), sc.measure.l2_norm)
    order = methods.Composition(
        represent.Filters(), sc.measure.l2_norm, methods.part(lambda s, reads: product(s, reads), reads=reads)
    )
    net = residual()
    found = sc.rank(trace(net, EXAMPLE), methods.Method("weighed", "", order)).orders["one.0"].units
    own = net.one[0].weight.detach().double().flatten(1).norm(dim=1)
    read = net.one[3].weight.detach().double().transpose(0, 1).flatten(1).norm(dim=1)
    assert found == tuple(torch.argsort(own * read, stable=True).tolist())


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (lambda filters: filters, r"filters of shape \(8, 27\), returned a tensor of shape \(8, 27\)"),
        (lambda filters: None, "failed with RuntimeError"),
        (methods.Method("m", "", lambda group: Order((0, 0, 1))), r"by units '\[0, 0, 1\]'; it has to"),
        (lambda filters: filters.nothing, "failed with AttributeError"),
        (lambda filters: linf(filters) * torch.nan, "NaN"),
        (lambda: 1, "failed with TypeError"),
        (
            methods.part(sc.measure.cosine, decimals=5),
            r"returned a tensor of shape \(8, 8\); return one number",
        ),
        (torch.nn.ReLU(), "method is a ReLU; give a name such as 'l1-norm', a Method, or a function"),
        (
            methods.Method("m", "", lambda group: 3),
            "'m' ranked group 'stem' by 3; it has to return an Order of all 8 units",
        ),
        (
            methods.Method("m", "", methods.Composition(represent.Filters(), linf, lambda score: score)),
            "'m' ranked group 'stem' by a tensor of shape",
        ),
    ],
)
def test_wrong_criteria_are_named(method, words):
    with pytest.raises(sc.InputError, match=words):
        sc.rank(trace(residual(), EXAMPLE), method)


def test_no_name_imports_anything(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("stranger:score", "stranger.py:score", f"{tmp_path}/stranger.py:score", "stranger"):
        with pytest.raises(sc.InputError, match="there is no"):
            methods.get(name)
        with pytest.raises(sc.InputError, match="there is no"):
            sc.prune(residual(), EXAMPLE, method=name, keep=0.5)
