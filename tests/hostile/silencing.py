"""Silence a network by its plan alone: layers see zeros in the channels that left. Shares no code with the proof.

What a plan says is which positions of which tensors stay. The tensors that read channels are known here by how
their layers are called: an axis of a weight along which a layer sums over its input is a reading axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear)


def lost_by(plan: Any) -> dict[str, dict[int, list[int]]]:
    """Positions that leave, by tensor and axis, of a plan with one step."""
    step = plan.steps[0]
    return {
        name: {
            int(axis): sorted(set(range(step.shapes[name][int(axis)])) - set(kept))
            for axis, kept in axes.items()
            if len(kept) < step.shapes[name][int(axis)]
        }
        for name, axes in step.slices.items()
    }


class Silenced(TorchFunctionMode):
    """While active, layers called with a given weight see zeros in the channels that left."""

    def __init__(self, lost: Mapping[int, Mapping[int, list[int]]]) -> None:
        super().__init__()
        self.lost = lost
        self.reached: set[int] = set()

    def missed(self) -> bool:
        """Whether a tensor with a reading axis was never seen by a layer: silencing cannot be stated then."""
        return any(any(a > 0 for a in axes) and key not in self.reached for key, axes in self.lost.items())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if self.lost and len(args) > 1:
            args = self._quiet(name, args)
        return func(*args, **(kwargs or {}))

    def _quiet(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if name in ("matmul", "__matmul__", "mm", "einsum"):
            return self._product(name, args)
        weight = args[1]
        if not isinstance(weight, Tensor) or id(weight) not in self.lost:
            return args
        axes = self.lost[id(weight)]
        self.reached.add(id(weight))
        if name == "linear":
            return (zeroed(args[0], -1, axes.get(1, [])), *args[1:])
        if name.startswith("conv"):
            index, channels = axes.get(0 if "transpose" in name else 1, []), weight.dim() - 2
            inputs = args[0].shape[-1 - channels]
            if "transpose" not in name and inputs > weight.shape[1]:  # the same places of every group
                per = weight.shape[1]
                index = [i + k * per for k in range(inputs // per) for i in index]
            return (zeroed(args[0], -1 - channels, index), *args[1:])
        return args

    def _product(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Matrix products with a bare weight: the axis that is summed over is the reading one."""
        if name == "einsum":
            given = list(args[1]) if isinstance(args[1], (list, tuple)) else list(args[1:])
            letters, _, out = args[0].replace(" ", "").partition("->")
            terms = letters.split(",")
            for k, weight in enumerate(given):
                for axis, index in self.lost.get(id(weight), {}).items():
                    letter = terms[k][axis]
                    for j, term in enumerate(terms):
                        if j != k and letter in term and letter not in out:
                            given[j] = zeroed(given[j], term.index(letter), index)
                            self.reached.add(id(weight))
            return (args[0], *given)
        left, right = args[0], args[1]
        if id(right) in self.lost:
            self.reached.add(id(right))
            return (zeroed(left, -1, self.lost[id(right)].get(right.dim() - 2, [])), right)
        if id(left) in self.lost:
            self.reached.add(id(left))
            return (
                left,
                zeroed(right, -2 if right.dim() > 1 else -1, self.lost[id(left)].get(left.dim() - 1, [])),
            )
        return args


def zeroed(x: Tensor, axis: int, index: list[int]) -> Tensor:
    """A copy of `x` with zeros at the given places of an axis."""
    return x.index_fill(axis, torch.tensor(index, dtype=torch.long), 0) if index else x


def silenced(whole: nn.Module, plan: Any) -> Silenced:
    """Prepare a fresh twin of the original for the plan; run it inside what is returned.

    Layers whose weight is computed (weight norm, old and new) and recurrent layers get a hook; all others are known
    by the tensor that they are called with.
    """
    tensors = dict(whole.named_parameters(remove_duplicate=False))
    tensors.update(whole.named_buffers(remove_duplicate=False))
    bare: dict[int, dict[int, list[int]]] = {}
    for name, axes in lost_by(plan).items():
        if name not in tensors:
            continue
        if ".parametrizations." in name:
            path, made = name.split(".parametrizations.")[0], name.endswith((".original", ".original1"))
        else:
            path, _, leaf = name.rpartition(".")
            made = leaf in ("weight_v", "weight_orig", "weight_ih_l0") or _computes(whole.get_submodule(path))
        module = whole.get_submodule(path)
        if made and isinstance(module, (*_LAYERS, nn.RNNBase)):
            _hook(module, axes)
        else:
            bare[id(tensors[name])] = axes
    return Silenced(bare)


def _computes(module: nn.Module) -> bool:
    """Whether a convolution has code of its own, which may convolve with other weights: standardised ones, say."""
    plain = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return isinstance(module, nn.modules.conv._ConvNd) and type(module).forward not in {
        kind.forward for kind in plain
    }


def _hook(module: nn.Module, axes: Mapping[int, list[int]]) -> None:
    turned = isinstance(module, nn.modules.conv._ConvNd) and module.transposed
    index = axes.get(0 if turned else 1, [])
    axis = -1
    if isinstance(module, nn.modules.conv._ConvNd):
        axis = -len(module.kernel_size) - 1
        per = module.in_channels // module.groups
        if module.groups > 1 and not turned:
            index = [i + k * per for k in range(module.groups) for i in index]
    module.register_forward_pre_hook(lambda _, args: (zeroed(args[0], axis, index), *args[1:]))
