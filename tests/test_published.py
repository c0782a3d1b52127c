"""The published procedures of the linear family, whole, against plain loops over each framed convolution."""

import copy

import numpy as np
import pytest
import torch

import secateurs as sc
from networks import EXAMPLE, residual
from published_linear import Framed, by_backward, by_lrf, by_omp
from secateurs.select import omp, published_omp_coefficients

RULES = {"lrf": by_lrf, "fp-backward": by_backward, "fp-omp": by_omp}
LAYERS = ("one.0", "one.3")


def published(net, rule, removed):
    """The network with the framed convolutions replaced by what the paper leaves of them, and the frames."""
    net, frames = copy.deepcopy(net), {}
    for name in LAYERS:
        conv = net.get_submodule(name)
        frame = Framed(conv.weight.detach().numpy())
        frame.cut_outputs(*frame.choose_outputs(removed(conv.out_channels), rule))
        frame.cut_inputs(*frame.choose_inputs(removed(conv.in_channels), rule))
        conv.weight.data = torch.from_numpy(frame.folded())
        frames[name] = frame
    return net, frames


@pytest.mark.parametrize("percent", [30, 50, 65])
@pytest.mark.parametrize("name", RULES)
def test_one_shot_methods_are_the_published_procedure(name, percent):
    net = residual(width=9, inner=14).double()
    want, frames = published(net, RULES[name], lambda n: round(percent * n / 100))
    result = sc.prune(net, EXAMPLE.double(), method=f"{name}:faithful", keep=1 - percent / 100)
    for layer, frame in frames.items():
        kept = result.plan.kept
        assert list(kept[f"{layer}.conv"]) == frame.outputs
        assert list(kept[f"{layer}.enter"]) == frame.inputs
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        assert torch.allclose(result.model(x), want(x), rtol=1e-7, atol=1e-9)


def test_inputs_are_ranked_on_what_is_left_in_frames_by_any_method_of_weights():
    net = residual(width=9, inner=14).double()
    result = sc.prune(net, EXAMPLE.double(), method="lrf", frame=True, keep=0.6, compensate="weights")
    for name in LAYERS:
        weight = net.get_submodule(name).weight.detach().numpy()
        outputs = list(result.plan.kept[f"{name}.conv"])
        inputs = list(result.plan.kept[f"{name}.enter"])
        rows = weight[outputs].transpose(1, 0, 2, 3).reshape(weight.shape[1], -1)
        assert by_lrf(rows, np.eye(len(rows)), len(rows) - len(inputs))[0] == inputs
        whole = weight.transpose(1, 0, 2, 3).reshape(weight.shape[1], -1)
        if name == "one.0":  # the order of the whole layer is another
            assert by_lrf(whole, np.eye(len(rows)), len(rows) - len(inputs))[0] != inputs


def test_methods_of_data_keep_their_order_in_frames():
    net = residual()
    data = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    result = sc.prune(net, EXAMPLE, method="hrank", frame=True, keep=0.6, data=data)
    assert result.verification.passed


def test_published_coefficients_are_those_of_the_loop():
    filters = np.random.default_rng(3).normal(size=(9, 5))
    for many in range(1, 9):
        stays, _, fit = by_omp(filters, np.eye(9), many)
        assert sorted(omp(filters @ filters.T, faithful=True).units[many:]) == stays
        np.testing.assert_allclose(published_omp_coefficients(filters @ filters.T, stays), fit, atol=1e-12)


@pytest.mark.parametrize("kept", [[], [1, 0], [0, 0], [0, 9]])
def test_kept_units_that_are_none_are_said(kept):
    with pytest.raises(sc.InputError, match="kept"):
        published_omp_coefficients(np.eye(3), kept)


def test_dead_filters_are_stood_in_for_by_nothing():
    filters = np.eye(4)
    filters[2] = 0
    fit = published_omp_coefficients(filters @ filters.T, [0, 1, 3])
    np.testing.assert_array_equal(fit, [[0.0, 0.0, 0.0]])
