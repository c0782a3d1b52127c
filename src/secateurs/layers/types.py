"""The table of layer types: how each is a linear map, where its channels lie, which attributes hold its sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Form = Literal["", "linear", "conv", "transposed"]


@dataclass(frozen=True)
class LayerType:
    """What one type of PyTorch's layers is.

    Attributes:
        form: How it is linear in its input; "" where it is not.
        channels_last: Whether the channels of its input lie on the last axis.
        larger: Whether torch.export shows it as one operation, while a run shows many small ones.
        tell_sizes: Makes its size attributes agree with its tensors.
    """

    form: Form = ""
    channels_last: bool = False
    larger: bool = False
    tell_sizes: Callable[[Any], None] | None = None


def layer_type(module: nn.Module) -> LayerType:
    """What a module is, by the nearest of its classes that the table knows.

    Example:
        >>> layer_type(nn.Conv2d(1, 1, 1)).form, layer_type(nn.LSTM(1, 1)).channels_last
        ('conv', True)
    """
    known = (_TYPES[kind] for kind in type(module).__mro__ if kind in _TYPES)
    return next(known, _OTHER)


def tell_sizes(module: nn.Module) -> None:
    """Make the size attributes of a layer agree with its tensors."""
    told = layer_type(module).tell_sizes
    if told is not None:
        told(module)


def _linear(module: nn.Linear) -> None:
    module.out_features, module.in_features = module.weight.shape


def _convolution(module: _ConvNd) -> None:
    if isinstance(module.weight, Tensor):
        module.out_channels, module.in_channels = (
            module.weight.shape[0],
            module.weight.shape[1] * module.groups,
        )


def _transposed(module: _ConvTransposeNd) -> None:
    if isinstance(module.weight, Tensor):
        module.in_channels, module.out_channels = (
            module.weight.shape[0],
            module.weight.shape[1] * module.groups,
        )


def _norm(module: _NormBase) -> None:
    found = module.weight if module.weight is not None else module.running_mean
    module.num_features = int(found.shape[0]) if found is not None else module.num_features


def _group_norm(module: nn.GroupNorm) -> None:
    if isinstance(module.weight, Tensor):
        module.num_channels = module.weight.shape[0]


def _prelu(module: nn.PReLU) -> None:
    module.num_parameters = module.weight.shape[0]


def _recurrent(module: nn.RNNBase) -> None:
    weights = dict(module.named_parameters())
    module.input_size = int(weights["weight_ih_l0"].shape[1])
    if not module.proj_size:
        module.hidden_size = int(weights["weight_hh_l0"].shape[1])
    module.flatten_parameters()


def _cell(module: nn.RNNCellBase) -> None:
    module.input_size, module.hidden_size = module.weight_ih.shape[1], module.weight_hh.shape[1]


_OTHER = LayerType()
_TYPES: dict[type, LayerType] = {
    nn.Linear: LayerType("linear", channels_last=True, tell_sizes=_linear),
    _ConvNd: LayerType("conv", tell_sizes=_convolution),
    _ConvTransposeNd: LayerType("transposed", tell_sizes=_transposed),
    _NormBase: LayerType(tell_sizes=_norm),
    nn.GroupNorm: LayerType(tell_sizes=_group_norm),
    nn.PReLU: LayerType(tell_sizes=_prelu),
    nn.RNNBase: LayerType(channels_last=True, larger=True, tell_sizes=_recurrent),
    nn.RNNCellBase: LayerType(larger=True, tell_sizes=_cell),
    nn.MultiheadAttention: LayerType(larger=True),
    nn.RMSNorm: LayerType(larger=True),
}
