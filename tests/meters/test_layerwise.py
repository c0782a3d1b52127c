"""Multiply-adds as torchinfo counts them: against torchinfo where it is installed, and figures recorded from it."""

import pytest
import torch
from torch import nn

from secateurs.meters.layerwise import count_elementwise
from secateurs.zoo import build

# total_mult_adds of torchinfo 1.8.0 for one input
RECORDED = [
    ("resnet20", (1, 3, 32, 32), 40_552_426),
    ("digits_cnn", (1, 1, 8, 8), 1_493_962),
    ("mobilenet_v2", (1, 3, 32, 32), 88_010_570),
]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)
        self.conv = nn.Conv1d(5, 5, 3, padding=1)

    def forward(self, x):
        x = self.conv(self.conv(x.mT)).mT
        return self.out(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize(("name", "shape", "wanted"), RECORDED)
def test_the_figures_of_torchinfo(name, shape, wanted):
    assert count_elementwise(build(name), torch.zeros(shape)) == wanted


def test_a_layer_that_is_called_twice_and_a_recurrent_one():
    # conv: 80 parameters, 7 places, twice; lstm: 312 parameters, 1 x 7; linear: 21, once. torchinfo 1.8.0: 3325
    assert count_elementwise(Recurrent(), torch.zeros(4, 7, 5)) == 2 * 7 * 80 + 7 * 312 + 21 == 3325


@pytest.mark.parametrize(("name", "shape"), [case[:2] for case in RECORDED])
def test_torchinfo_itself(name, shape):
    torchinfo = pytest.importorskip("torchinfo")
    net = build(name).eval()
    found = torchinfo.summary(net, input_size=shape, verbose=0)
    assert count_elementwise(net, torch.zeros(shape)) == found.total_mult_adds
