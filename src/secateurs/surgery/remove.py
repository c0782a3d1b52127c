"""remove(): plan and model to a smaller model; and, for the proof, plan and model to a silenced one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.contracts import IntArray
from secateurs.errors import MismatchError
from secateurs.surgery.copies import copy_model
from secateurs.surgery.cut import as_kind_of, cut, keep_norms, named_tensors
from secateurs.surgery.frame import fold_frames, insert_frames, missing_frame
from secateurs.surgery.plan import Plan, Step


def remove(model: nn.Module, plan: Plan) -> nn.Module:
    """A new, smaller module; `model` stays whole.

    Raises:
        MismatchError: the plan was made for another network; says which layer disagrees.
    """
    for step in plan.steps:
        model = _carry_out(model, step)
    return model


def _carry_out(model: nn.Module, step: Step) -> nn.Module:
    lost = missing_frame(model, (*step.frames, *step.folds))
    if lost is not None:
        raise MismatchError(
            f"plan: the network has no convolution '{lost}', which the plan puts between two others; build the "
            "network the plan was made for."
        )
    if step.frames:
        model = insert_frames(model, step.frames)
    found = {name: tuple(tensor.shape) for name, tensor in named_tensors(model)}
    for name, shape in step.shapes.items():
        if name not in found:
            raise MismatchError(
                f"plan: the network has no '{name}', which the plan makes smaller; build the network the plan was "
                "made for."
            )
        if found[name] != tuple(shape):
            raise MismatchError(
                f"plan: '{name}' has shape {list(found[name])} in this network and {list(shape)} in the plan; build "
                "the network the plan was made for."
            )
    slices = {t: {a: np.array(p, dtype=np.int64) for a, p in axes.items()} for t, axes in step.slices.items()}
    small = cut(model, slices, step.attributes)
    add_biases(small, step.added)
    return fold_frames(small, step.folds) if step.folds else small


def add_biases(model: nn.Module, added: Mapping[str, int]) -> None:
    """Give layers without a bias one of zeros (for repairs that fold constants into it)."""
    for name, length in added.items():
        path = name.rpartition(".")[0]
        module = model.get_submodule(path)
        weight = next(module.parameters())
        if getattr(module, "bias", None) is None:
            module.register_parameter("bias", nn.Parameter(weight.new_zeros(length)))


def silence(
    model: nn.Module,
    silenced: Mapping[str, Mapping[int, IntArray]],
    make: Callable[[Tensor], Tensor] | None = None,
) -> nn.Module:
    """A copy of the whole model in which the given positions of the consumers' weights are zero.

    What no layer reads any more contributes nothing: this is the network that removal has to equal.
    """
    memo: dict[int, object] = {}
    for name, tensor in named_tensors(model):
        if id(tensor) in memo and name not in silenced:
            continue
        quiet = tensor.detach()
        if name in silenced:
            quiet = quiet.clone()
            for axis, positions in silenced[name].items():
                quiet.index_fill_(axis, torch.as_tensor(positions, device=quiet.device), 0)
        quiet = make(quiet) if make is not None else quiet
        memo[id(tensor)] = as_kind_of(tensor, quiet)
    copied = copy_model(model, memo, make)
    keep_norms(model, copied, {name: {} for name in silenced})
    return copied
