import pytest
import torch
from torch import nn

from secateurs.layers.linear_map import from_matrix, linear_map, matrix, output_rows, positions, rows

LAYERS = [
    (nn.Linear(5, 3), (4, 5)),
    (nn.Linear(5, 3), (4, 6, 5)),
    (nn.Conv1d(4, 6, 3, padding=2, dilation=2), (2, 4, 9)),
    (nn.Conv2d(4, 6, 3, padding=1, stride=2), (2, 4, 7, 8)),
    (nn.Conv2d(4, 6, (3, 1), padding="same"), (2, 4, 5, 5)),
    (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 6)),
    (nn.Conv2d(4, 4, 3, groups=4, padding=1), (2, 4, 6, 6)),
    (nn.Conv3d(2, 3, 2), (2, 2, 4, 4, 4)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (2, 4, 5, 5)),
    (nn.ConvTranspose2d(4, 6, 2, groups=2), (2, 4, 5, 5)),
    (nn.ConvTranspose1d(4, 2, 4, stride=2, dilation=2), (2, 4, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda v: str(v)[:40])
def test_rows_times_matrix_is_the_layer(layer: nn.Module, shape: tuple[int, ...]):
    torch.manual_seed(0)
    x = torch.randn(shape)
    y = layer(x)
    form = linear_map(layer)
    product = torch.einsum("ngd,god->ngo", rows(layer, x), matrix(layer))
    bias = layer.bias.view(form.groups, form.outputs)
    torch.testing.assert_close(product + bias, output_rows(layer, y), rtol=1e-4, atol=1e-5)
    assert torch.equal(from_matrix(layer, matrix(layer)), layer.weight)
    chosen = torch.arange(0, positions(layer, y), 2)
    part = torch.einsum("ngd,god->ngo", rows(layer, x, chosen), matrix(layer))
    torch.testing.assert_close(part + bias, output_rows(layer, y, chosen), rtol=1e-4, atol=1e-5)


def test_no_reading_where_the_layer_is_not_plain():
    assert linear_map(nn.BatchNorm2d(3)) is None
    assert linear_map(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")) is None
    assert linear_map(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))) is None
