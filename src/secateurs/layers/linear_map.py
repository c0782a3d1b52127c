"""A layer as a linear map: y = M r + b, with one row r of the input for every output position.

For a convolution r holds the k x k neighbourhood of all channels (im2col), ordered channel by channel, tap
by tap; for a linear layer r is the input itself. Grouped layers have one M, and one part of r, per group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from secateurs.contracts import IntArray
from secateurs.layers.types import layer_type
from secateurs.layers.windows import counts, windows


@dataclass(frozen=True)
class LinearMap:
    """The sizes of a layer that is linear in its input."""

    kind: str
    groups: int
    inputs: int
    taps: int
    outputs: int

    @property
    def width(self) -> int:
        """Length d of a row of one group: channels of the group times taps."""
        return self.inputs * self.taps


def linear_map(layer: nn.Module) -> LinearMap | None:
    """How `layer` reads its input, or None where it is no plain linear or convolutional layer.

    `inputs` and `outputs` are those of one group.

    Example:
        >>> linear_map(nn.Conv2d(4, 6, 3, groups=2))
        LinearMap(kind='conv', groups=2, inputs=2, taps=9, outputs=3)
    """
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or hasattr(layer, "parametrizations"):
        return None
    form = layer_type(layer).form
    if form == "linear":
        return LinearMap("linear", 1, weight.shape[1], 1, weight.shape[0])
    if not form or not isinstance(layer, _ConvNd) or not weight.is_floating_point():
        return None
    groups, taps = layer.groups, weight[0, 0].numel()
    if form == "transposed":
        return LinearMap("transposed", groups, weight.shape[0] // groups, taps, weight.shape[1])
    if layer.padding_mode != "zeros":
        return None
    return LinearMap("conv", groups, weight.shape[1], taps, weight.shape[0] // groups)


def matrix(layer: nn.Module) -> Tensor:
    """The layer's weights as M, shape (groups, outputs, d), in the order of `rows`.

    Example:
        >>> layer = nn.ConvTranspose2d(2, 3, 2)
        >>> torch.equal(matrix(layer)[0, :, 0], layer.weight[0, :, -1, -1])  # kernels are turned round
        True
    """
    return to_matrix(layer, layer.get_parameter("weight").detach())


def to_matrix(layer: nn.Module, weight: Tensor) -> Tensor:
    """Any tensor of the shape of the layer's weight, in the order of `matrix`."""
    form = _form(layer)
    if form.kind == "transposed":
        turned = weight.reshape(form.groups, form.inputs, form.outputs, form.taps).flip(-1)
        return turned.transpose(1, 2).reshape(form.groups, form.outputs, form.width)
    return weight.reshape(form.groups, form.outputs, form.width)


def from_matrix(layer: nn.Module, values: Tensor) -> Tensor:
    """The inverse of `matrix`: values of shape (groups, outputs, d) in the shape of the layer's weight."""
    form, weight = _form(layer), layer.get_parameter("weight")
    if form.kind == "transposed":
        turned = values.reshape(form.groups, form.outputs, form.inputs, form.taps).transpose(1, 2)
        values = turned.flip(-1)
    return values.reshape(weight.shape)


def rows(layer: nn.Module, x: Tensor, chosen: Tensor | None = None) -> Tensor:
    """What the layer reads, one row per sample and output position.

    Args:
        layer: One that has a `linear_map`.
        x: Its input, with the batch axis first.
        chosen: Indices of the output positions (flattened) to use, all by default.

    Returns:
        Shape (samples * positions, groups, d); rows of one sample follow each other.

    Cost:
        Memory taps times that of the chosen positions.

    Example:
        >>> layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        >>> x = torch.randn(4, 2, 5, 5)
        >>> y = rows(layer, x)[:, 0] @ matrix(layer)[0].T
        >>> torch.allclose(y, output_rows(layer, layer(x))[:, 0], atol=1e-5)
        True
    """
    form = _form(layer)
    if form.kind == "linear":
        flat = x.reshape(len(x), -1, x.shape[-1])
        flat = flat if chosen is None else flat[:, chosen]
        return flat.reshape(-1, 1, x.shape[-1])
    assert isinstance(layer, _ConvNd)
    return windows(layer, x, chosen).view(-1, form.groups, form.width)


def output_rows(layer: nn.Module, y: Tensor, chosen: Tensor | None = None) -> Tensor:
    """The layer's output in the order of `rows`: shape (samples * positions, groups, outputs)."""
    form = _form(layer)
    if form.kind == "linear":
        flat = y.reshape(len(y), -1, y.shape[-1])
        flat = flat if chosen is None else flat[:, chosen]
        return flat.reshape(-1, 1, y.shape[-1])
    flat = y.reshape(len(y), form.groups, form.outputs, -1)
    flat = flat if chosen is None else flat[..., chosen]
    return flat.permute(0, 3, 1, 2).reshape(-1, form.groups, form.outputs)


def positions(layer: nn.Module, y: Tensor) -> int:
    """How many output positions one sample has."""
    if _form(layer).kind == "linear":
        return y[0].numel() // y.shape[-1]
    return y[0, 0].numel()


def places_of(layer: nn.Module, x: Tensor) -> int:
    """How many output positions one sample of the input has.

    Example:
        >>> places_of(nn.Conv2d(1, 1, 3, stride=2), torch.zeros(2, 1, 7, 7))
        9
    """
    if _form(layer).kind == "linear":
        return x[0].numel() // x.shape[-1]
    assert isinstance(layer, _ConvNd)
    return math.prod(counts(layer, x))


def _form(layer: nn.Module) -> LinearMap:
    form = linear_map(layer)
    if form is None:
        raise TypeError(f"{type(layer).__name__} is no linear map")
    return form


def channel_rows(layer: nn.Module, x: Tensor, places: IntArray, most: int | None = None) -> Tensor:
    """What the layer reads of some units: one row per sample and place of the input, one entry per unit.

    Args:
        layer: One that has a `linear_map`.
        x: Its input, with the batch axis first.
        places: Positions of each unit on the input axis of the weight, shape (n, m); m places of a unit (and, for
            grouped convolutions, the same place of every group) give m rows.
        most: How many points of each map to read (`spread`), all by default.

    Returns:
        Shape (rows, n).

    Example:
        >>> import numpy as np
        >>> channel_rows(nn.Linear(4, 1), torch.arange(4.0)[None], np.array([[0, 1], [2, 3]]))
        tensor([[0., 2.],
                [1., 3.]])
    """
    form = _form(layer)
    index = torch.as_tensor(places, device=x.device)
    if form.kind == "conv" and form.groups > 1:
        starts = torch.arange(form.groups, device=x.device) * form.inputs
        index = (index[:, :, None] + starts).flatten(1)
    moved = x.movedim(-1, 0) if form.kind == "linear" else x.movedim(1, 0)
    points = moved[0, 0].numel()
    if most is not None and most < points:
        moved = moved.flatten(2)[:, :, spread(points, most).to(x.device)]
    return moved[index.ravel()].reshape(index.shape[0], -1).T


def spread(points: int, most: int) -> Tensor:
    """Indices of `most` of so many points, spread evenly and the same every time, sorted.

    Multiples of the golden section leave no gap and fall into no step with the rows of a map.

    Example:
        >>> spread(10, 4)
        tensor([0, 1, 4, 7])
    """
    if most >= points:
        return torch.arange(points)
    step = round(points * 0.6180339887498949)
    while math.gcd(step, points) != 1:
        step += 1
    return (torch.arange(most) * step % points).sort().values


def channel_columns(layer: nn.Module, places: IntArray, axis: int) -> IntArray | None:
    """Columns of `matrix` that belong to each unit, shape (n, m taps); None where they differ by group.

    Example:
        >>> import numpy as np
        >>> channel_columns(nn.Conv1d(2, 1, 3), np.array([[0], [1]]), 1)
        array([[0, 1, 2],
               [3, 4, 5]])
    """
    form = linear_map(layer)
    if form is None or axis != (0 if form.kind == "transposed" else 1):
        return None
    if form.kind == "transposed" and form.groups > 1:
        return None
    columns: IntArray = places[:, :, None] * form.taps + np.arange(form.taps)
    return columns.reshape(len(places), -1)
