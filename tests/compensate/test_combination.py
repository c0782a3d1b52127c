"""The repair from weights alone, against least squares written out, on and between the layers of a frame."""

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs.compensate.combination import Combination, combine_, mixing
from secateurs.graph import Tracer
from secateurs.graph.framed import framed, in_frames
from secateurs.plans import plan_from_keep


def combined(filters, kept):
    """Rows of all filters in the kept ones."""
    return np.linalg.lstsq(filters[kept].T, filters.T, rcond=None)[0].T


def test_mixing_is_least_squares():
    filters = np.random.default_rng(0).normal(size=(6, 9))
    kept = np.array([1, 4, 5])
    found = mixing(torch.from_numpy(filters @ filters.T), kept).numpy()
    assert np.allclose(found[:, kept], combined(filters, kept))
    assert not found[:, [0, 2, 3]].any()


def test_a_linear_chain_is_repaired_as_written_out():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.Conv2d(6, 4, 3)).double().eval()
    graph = sc.trace(net, EXAMPLE.double())
    kept = np.array([0, 2, 3, 5])
    small = sc.remove(net, plan_from_keep(graph, {"0": kept}, "", {}))
    assert combine_(small, graph, {"0": kept}) == ("1.weight",)
    mix = combined(net[0].weight.detach().flatten(1).numpy(), kept)
    want = np.einsum("ojhw,jl->olhw", net[1].weight.detach().numpy(), mix)
    assert np.allclose(small[1].weight.detach().numpy(), want)


def test_batch_norm_is_part_of_the_filters():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)).eval()
    with torch.no_grad():
        net[0].weight[3] = net[0].weight[1]
        net[1].weight.copy_(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    graph = sc.trace(net, EXAMPLE)
    kept = np.array([0, 1, 2])
    small = sc.remove(net, plan_from_keep(graph, {"0": kept}, "", {}))
    combine_(small, graph, {"0": kept})
    assert torch.allclose(small[2].weight[:, 1], net[2].weight[:, 1] + 3 * net[2].weight[:, 3], atol=1e-5)
    assert torch.allclose(small(EXAMPLE), net(EXAMPLE), atol=1e-5)


def test_both_sides_of_a_frame_as_written_out():
    net = residual().double()
    example = EXAMPLE.double()
    whole, names = in_frames(net, example)
    graph = framed(Tracer(whole, example).graph(), names)
    keep = {"one.0.enter": np.array([0, 2, 5, 6, 7]), "one.0.conv": np.array([1, 2, 3, 8, 9, 11])}
    small = sc.remove(net, plan_from_keep(graph, keep, "", {}).cuts())
    combine_(small, graph, keep)
    weight = net.one[0].weight.detach().numpy()
    ins, outs = keep["one.0.enter"], keep["one.0.conv"]
    leave = combined(weight.reshape(12, -1), outs)
    rows = weight[outs].transpose(1, 0, 2, 3).reshape(8, -1)
    enter = combined(rows, ins)
    frame = small.one[0]
    assert np.allclose(frame.leave.weight.detach().numpy()[:, :, 0, 0], leave)
    assert np.allclose(frame.enter.weight.detach().numpy()[:, :, 0, 0], enter.T)
    assert np.array_equal(frame.conv.weight.detach().numpy(), weight[outs][:, ins])


def test_linearly_replaceable_filters_cost_nothing_in_a_frame():
    net = residual(width=8, inner=12).double()
    torch.manual_seed(3)
    with torch.no_grad():
        net.one[0].weight[7] = 2 * net.one[0].weight[0] - net.one[0].weight[4]
        net.one[0].weight[:, 5] = net.one[0].weight[:, 1] + net.one[0].weight[:, 2]
    whole, names = in_frames(net, EXAMPLE.double())
    graph = framed(Tracer(whole, EXAMPLE.double()).graph(), names)
    keep = {"one.0.enter": np.delete(np.arange(8), 5), "one.0.conv": np.delete(np.arange(12), 7)}
    small = sc.remove(net, plan_from_keep(graph, keep, "", {}).cuts())
    combine_(small, graph, keep)
    x = torch.randn(2, 3, 8, 8).double()
    assert torch.allclose(small(x), net(x), atol=1e-9)


def test_without_combining_units_are_silenced():
    graph = sc.trace(residual(), EXAMPLE)
    keep = {"one.0": np.array([0, 3, 4])}
    found = Combination(graph, combine=False).weights(keep)
    want = graph.model.one[3].weight.detach().clone()
    want[:, np.delete(np.arange(12), keep["one.0"])] = 0
    assert list(found) == ["one.3.weight"]
    assert torch.equal(found["one.3.weight"], want)


@pytest.mark.parametrize("frame", [False, True])
def test_only_the_weights_asked_for_are_made(frame):
    net = residual()
    whole, names = in_frames(net, EXAMPLE) if frame else (net, ())
    graph = Tracer(whole, EXAMPLE).graph()
    graph = framed(graph, names) if frame else graph
    combination = Combination(graph)
    keep = {g.name: np.arange(g.size - 2) for g in graph.free}
    every = combination.weights(keep)
    for group in graph.free:
        touched = combination.touched(group.name)
        part = combination.weights(keep, touched)
        assert set(part) == set(touched)
        assert all(torch.equal(part[name], every[name]) for name in touched)
