"""Normalisations over channels that leave some of them out: what the proof compares recomputed statistics with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from secateurs.contracts import IntArray
from secateurs.layers.tensors import named_tensors

SEEN = "against the original whose normalisations see the kept channels only"


class MaskedNorms(TorchFunctionMode):
    """Inside, the layer, RMS and one-group norms of a model take their statistics over the kept channels only.

    With K the kept channels, y_c = w_c (x_c - m) / sqrt(v + eps) + b_c for every channel c, where m and v are
    the mean and the variance of x over K (and, for a group norm, over space). An RMS norm has m = 0.

    Args:
        model: The network that is run whole.
        kept: Positions that stay, by tensor and axis; the weights of norms among them say which norms are meant.

    Example:
        >>> import numpy as np
        >>> norm = nn.LayerNorm(3, eps=0.0)
        >>> with MaskedNorms(norm, {"weight": {0: np.array([0, 1])}}):
        ...     norm(torch.tensor([[1.0, 3.0, 4.0]]))[0].tolist()
        [-1.0, 1.0, 2.0]
    """

    def __init__(self, model: nn.Module, kept: Mapping[str, Mapping[int, IntArray]]) -> None:
        super().__init__()
        self.used = False
        self.kept = {
            id(tensor): torch.as_tensor(kept[name][0])
            for name, tensor in named_tensors(model)
            if 0 in kept.get(name, {}) and tensor.dim() == 1
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Norms of which channels leave, in their own way; everything else as it is."""
        kwargs = kwargs or {}
        masked = _NORMS.get(getattr(func, "__name__", ""))
        if masked is not None:
            weight = kwargs.get("weight", args[2] if len(args) > 2 else None)
            over = kwargs.get("normalized_shape", args[1] if len(args) > 1 else None)
            whole = over == 1 if isinstance(over, int) else over is not None and len(over) == 1
            if id(weight) in self.kept and whole:
                self.used = True
                return masked(self.kept[id(weight)], *args, **kwargs)
        return func(*args, **kwargs)


def _layer_norm(
    kept: Tensor,
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    seen = input.index_select(-1, kept.to(input.device))
    mean, var = seen.mean(-1, keepdim=True), seen.var(-1, keepdim=True, correction=0)
    y = (input - mean) / torch.sqrt(var + eps) * weight
    return y if bias is None else y + bias


def _rms_norm(
    kept: Tensor, input: Tensor, normalized_shape: Any, weight: Tensor, eps: float | None = None
) -> Tensor:
    seen = input.index_select(-1, kept.to(input.device))
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    return input / torch.sqrt(seen.square().mean(-1, keepdim=True) + eps) * weight


def _group_norm(
    kept: Tensor,
    input: Tensor,
    num_groups: int,
    weight: Tensor,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    seen = input.index_select(1, kept.to(input.device)).flatten(1)
    shape = (-1, *[1] * (input.dim() - 1))
    mean, var = seen.mean(1).reshape(shape), seen.var(1, correction=0).reshape(shape)
    per_channel = (1, -1, *[1] * (input.dim() - 2))
    y = (input - mean) / torch.sqrt(var + eps) * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


_NORMS: dict[str, Callable[..., Tensor]] = {
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
}
