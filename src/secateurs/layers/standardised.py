"""Convolutions that standardise their weights become plain ones, which store the effective weights.

Weight standardisation convolves with (v - mean(v)) / sqrt(var(v) + eps), mean and variance over all the inputs of a
filter. A filter that loses inputs would have other statistics, and so be another filter.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from secateurs.layers.tensors import named_tensors
from secateurs.running.copies import copy_model

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def standardised(model: nn.Module) -> tuple[str, ...]:
    """Names of the convolutions whose effective weights depend on other weights of the same layer.

    Found out by trying: the layer's own code computes the effective weights of random ones, twice, with one number
    changed. Only layers are named that are convolutions, also with the "same" padding, in everything but this.

    Example:
        >>> standardised(nn.Sequential(nn.Conv2d(4, 2, 3)))
        ()
    """
    holders = Counter(id(m.weight) for m in model.modules() if _kind(m) is not None)
    return tuple(
        name
        for name, module in model.named_modules()
        if name and _computes(module) and holders[id(module.weight)] == 1 and _mixes(module)
    )


def without_standardisation(model: nn.Module, names: Iterable[str] | None = None) -> nn.Module:
    """The same function with plain convolutions in the place of those named (by default of all that standardise).

    Args:
        model: Left as it is; the result shares the tensors that are not replaced.
        names: As by `standardised`.

    Returns:
        A new network, or `model` itself where nothing is named. The effective weights are computed in float64 and
        stored in the type of the weights, so that outputs differ by rounding.
    """
    chosen = standardised(model) if names is None else tuple(names)
    if not chosen:
        return model
    plain = {id(model.get_submodule(name)): _plain(model.get_submodule(name)) for name in chosen}
    shared: dict[int, Any] = {id(tensor): tensor for _, tensor in named_tensors(model)}
    return copy_model(model, {**shared, **plain})


def about_standardisation(names: Iterable[str]) -> tuple[str, ...]:
    """What has become of the convolutions named, in words; nothing for none.

    Example:
        >>> about_standardisation(["a"])[0][:72]
        'weight standardisation: 1 convolutions store their effective weights now'
    """
    count = len(tuple(names))
    text = (
        f"weight standardisation: {count} convolutions store their effective weights now and are plain; fine-tuning "
        "trains these"
    )
    return (text,) if count else ()


class SameConv2d(nn.Conv2d):
    """A 2-D convolution with the "same" padding of TensorFlow: ceil(n / stride) outputs for n inputs.

    The input is padded with zeros by max((ceil(n / stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0) on
    either axis, the smaller half of it in front.

    Example:
        >>> SameConv2d(1, 1, 3, stride=2)(torch.zeros(1, 1, 8, 7)).shape
        torch.Size([1, 1, 4, 4])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Pad, then convolve."""
        return super().forward(same_padded(input, self.kernel_size, self.stride, self.dilation))


def same_padded(x: Tensor, kernel: Iterable[int], stride: Iterable[int], dilation: Iterable[int]) -> Tensor:
    """Pad the last axes of a tensor with zeros as TensorFlow does; see `SameConv2d`."""
    pads: list[int] = []
    sizes = zip(x.shape[2:], kernel, stride, dilation, strict=True)
    for n, k, s, d in sizes:
        missing = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [missing // 2, missing - missing // 2, *pads]
    return F.pad(x, pads)


@dataclass(frozen=True)
class _Called:
    """The arguments with which a layer calls its convolution."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


class _Found(Exception):
    """Carries the arguments out of the layer's code."""

    def __init__(self, called: _Called) -> None:
        self.called = called


class _Spy(TorchFunctionMode):
    """Stops at the first convolution."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was asked, but for the convolution."""
        if getattr(func, "__name__", "") == self.name:
            raise _Found(_Called(**dict(zip(_ARGUMENTS, args, strict=False)), **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def _kind(module: nn.Module) -> Any:
    return next((kind for kind in _CONVOLUTIONS if isinstance(module, kind)), None)


def _computes(module: Any) -> bool:
    """Whether the layer has code of its own, and nothing that its copy would lose."""
    kind = _kind(module)
    plain = kind is None or type(module).forward is kind.forward
    hooks = module._forward_hooks or module._forward_pre_hooks
    return not plain and not hooks and not hasattr(module, "parametrizations")


def _mixes(module: Any) -> bool:
    try:
        small = _drawn(module)
        weight = small.weight.detach()
        other = weight.clone()
        other.flatten(1)[:, -1] += 0.5
        apart = (_call(small, weight=weight).weight - _call(small, weight=other).weight).flatten(1)[:, :-1]
        return bool((apart.abs() > 1e-6).any()) and _pads(small) is not None
    except Exception:  # its code is not that of a convolution
        return False


def _plain(module: Any) -> nn.Module:
    kind, draft = _kind(module), _drawn(module)
    same, called = _pads(draft), _call(draft)
    made = (SameConv2d if same else kind)(
        module.weight.shape[1] * module.groups,
        module.weight.shape[0],
        module.kernel_size,
        called.stride,
        0 if same else called.padding,
        called.dilation,
        module.groups,
        bias=False,
        device="meta",
    )
    wide = copy.deepcopy(module).double()
    effective = _call(wide, weight=wide.weight.detach()).weight.detach().to(module.weight.dtype)
    made.weight = nn.Parameter(effective, requires_grad=module.weight.requires_grad)
    made.bias = module.bias
    return made.train(module.training)


def _drawn(module: nn.Module) -> Any:
    """A copy in float64 on the CPU with at most four inputs and random weights; its convolution is never run."""
    draw = torch.Generator().manual_seed(0)
    memo: dict[int, Any] = {}
    for name, p in module.named_parameters():
        shape = (p.shape[0], min(4, p.shape[1]), *p.shape[2:]) if name == "weight" else p.shape
        memo[id(p)] = nn.Parameter(torch.rand(shape, generator=draw, dtype=torch.float64) + 0.5)
    for _, b in module.named_buffers():
        memo[id(b)] = torch.rand(b.shape, generator=draw, dtype=torch.float64) + 0.5
    return copy.deepcopy(module, memo)


def _call(module: Any, sides: int = 0, value: float = 1.0, weight: Tensor | None = None) -> _Called:
    """How a layer calls its convolution on an input of one value and some size."""
    weight = module.weight.detach() if weight is None else weight
    shape = (1, weight.shape[1] * module.groups, *[_extent(module) + sides] * (weight.dim() - 2))
    kept = module.weight
    module.weight = nn.Parameter(weight, requires_grad=False)
    try:
        with torch.no_grad(), _Spy(_kind(module).__name__.lower()):
            module.forward(torch.full(shape, value, dtype=weight.dtype, device=weight.device))
    except _Found as found:
        return found.called
    finally:
        module.weight = kept
    raise TypeError("this layer runs no convolution")


def _pads(module: Any) -> bool | None:
    """Whether the layer pads its input itself, as `SameConv2d` does; None where it does anything else to it."""
    known = _call(module).weight
    own = []
    for sides, value in ((2, 1.0), (5, -2.0)):
        called = _call(module, sides, value)
        if (
            called.groups != module.groups
            or called.bias is not module.bias
            or not torch.equal(called.weight, known)
        ):
            return None
        plain = known.new_full(
            (1, called.input.shape[1], *[_extent(module) + sides] * (known.dim() - 2)), value
        )
        if torch.equal(called.input, plain):
            own.append(False)
            continue
        padded = same_padded(plain, module.kernel_size, called.stride, called.dilation)
        if called.padding not in (0, (0, 0)) or not torch.equal(called.input, padded):
            return None
        own.append(True)
    return any(own)


def _extent(module: Any) -> int:
    """Length of the kernel with its dilation."""
    return max(int(d * (k - 1) + 1) for k, d in zip(module.kernel_size, module.dilation, strict=True))
