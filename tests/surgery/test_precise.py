"""Weights read in float64, against a float64 copy of the model."""

import copy
from unittest import mock

import pytest
import torch
from torch import nn

from secateurs.surgery import verify
from secateurs.surgery.precise import Precise


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, (3, 5), stride=(2, 1), padding=(0, 2), groups=6, bias=False),
        nn.Conv2d(6, 6, 3, dilation=(2, 3), padding=3, stride=3, groups=6),
        nn.Conv2d(6, 6, 3, padding="same", groups=6),
        nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular", groups=6),
        nn.Conv2d(6, 12, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, 3, padding=1, groups=3),
    ],
    ids=str,
)
def test_a_convolution_equals_its_float64_copy(layer: nn.Conv2d) -> None:
    x = torch.randn(2, 6, 11, 13, dtype=torch.float64)
    with torch.no_grad():
        expected = copy.deepcopy(layer).double()(x)
        with Precise(layer, {}, torch.float64):
            found = layer(x)
    assert found.dtype == torch.float64
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_a_depthwise_convolution_on_too_small_a_map_fails_as_the_layer_does() -> None:
    layer = nn.Conv2d(6, 6, 5, groups=6)
    with Precise(layer, {}, torch.float64), pytest.raises(RuntimeError, match=r"[Kk]ernel size"):
        layer(torch.randn(1, 6, 3, 3, dtype=torch.float64))


@pytest.mark.parametrize("problem", [ZeroDivisionError, KeyError, AttributeError, AssertionError, IndexError])
def test_code_that_fails_on_the_smaller_network_is_a_failed_proof(problem):
    class Fails(nn.Sequential):
        def forward(self, x):
            if self[0].out_channels < 8:
                raise problem("too small")
            return super().forward(x)

    whole, small = (Fails(nn.Conv2d(3, width, 3), nn.Conv2d(width, 4, 1)) for width in (8, 4))
    proof = verify(whole, small, {"1.weight": {1: [4, 5, 6, 7]}}, torch.zeros(1, 3, 6, 6))
    assert not proof.passed
    assert "too small" in proof.problem


class _Raw(nn.Module):
    """Reads or writes its weights past the functions of torch that the proof watches."""

    def __init__(self, width, use):
        super().__init__()
        self.first, self.last, self.use = nn.Conv2d(3, width, 3), nn.Conv2d(width, 4, 1), use

    def forward(self, x):
        self.use(self.first.weight)
        return self.last(self.first(x).relu() * float(self.first.weight.data.abs().max() > 0))


@pytest.mark.parametrize("use", [lambda w: None, lambda w: w.data.mul_(2), lambda w: w.detach().numpy()])
def test_a_network_of_many_weights_is_proven_without_a_copy_of_them(use):
    torch.manual_seed(0)
    whole, small = _Raw(8, use), _Raw(4, use)
    gone, before = [1, 4, 5, 7], copy.deepcopy(whole.state_dict())
    with torch.no_grad():
        stays = [0, 2, 3, 6]
        small.first.weight.copy_(whole.first.weight[stays]), small.first.bias.copy_(whole.first.bias[stays])
        small.last.weight.copy_(whole.last.weight[:, stays]), small.last.bias.copy_(whole.last.bias)
    x = torch.randn(1, 3, 6, 6)
    with (
        mock.patch("secateurs.surgery.verify.MANY_WEIGHTS", 0),
        mock.patch("secateurs.surgery.replaced.LARGE", 0),
        mock.patch("secateurs.surgery.precise._LARGE", 0),
    ):
        proof = verify(whole, small, {"last.weight": {1: gone}}, x)
        wrong = verify(whole, small, {"last.weight": {1: [0, *gone[1:]]}}, x)
    assert proof.passed, proof
    assert not wrong.passed
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())
