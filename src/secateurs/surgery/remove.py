"""remove(): plan and model to a smaller model; and, for the proof, plan and model to a silenced one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.checks import check_kind, check_model, shown
from secateurs.contracts import IntArray
from secateurs.errors import MismatchError
from secateurs.layers.cut import cut
from secateurs.layers.frame import fold_frames, insert_frames
from secateurs.layers.reparametrised import keep_norms
from secateurs.layers.standardised import standardised, without_standardisation
from secateurs.layers.tensors import as_kind_of, named_tensors
from secateurs.running.copies import copy_model
from secateurs.surgery.fit import check_fit, check_frames, outputs_of
from secateurs.surgery.plan import Plan, Step


def remove(model: nn.Module, plan: Plan) -> nn.Module:
    """A new, smaller module; `model` stays whole.

    Raises:
        InputError: `model` is no network or `plan` no plan.
        MismatchError: the plan was made for another network; says which layer disagrees.

    Example:
        >>> step = Step({"weight": {0: (1, 2)}, "bias": {0: (1, 2)}}, {"weight": (3, 4), "bias": (3,)})
        >>> remove(nn.Linear(4, 3), Plan({"weight": (1, 2)}, {"weight": 3}, (step,)))
        Linear(in_features=4, out_features=2, bias=True)
    """
    check_model(model)
    check_kind(
        "plan", plan, Plan, "what secateurs.plan(ranking, macs=0.5) or secateurs.load_plan(path) returns"
    )
    plan.check()
    for step in plan.steps:
        model = _carry_out(model, step)
    return model


def finish(small: nn.Module, plan: Plan) -> nn.Module:
    """Do with a network what a plan does after its last cut; the network itself where that is nothing.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> finish(net, Plan({}, {}, ())) is net
        True
    """
    for step in plan.steps[len(plan.cuts().steps) :]:
        small = _carry_out(small, step)
    return small


def _carry_out(model: nn.Module, step: Step) -> nn.Module:
    check_frames(model, step)
    if step.frames:
        model = insert_frames(model, step.frames)
    model = without_standardisation(model, _present(model, step.plain))
    check_fit(model, step)
    slices = {t: {a: np.array(p, dtype=np.int64) for a, p in axes.items()} for t, axes in step.slices.items()}
    try:
        small = cut(model, slices, step.attributes)
        add_biases(small, step.added)
        return fold_frames(small, step.folds) if step.folds else small
    except (RuntimeError, IndexError, ValueError) as error:
        raise MismatchError(
            f"plan: it cannot be carried out on this network ({shown(str(error), 160)}); build the network the plan "
            "was made for."
        ) from error


def _present(model: nn.Module, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names themselves, where the network still standardises these weights; those that are plain already aside."""
    found = set(standardised(model)) if names else set()
    return tuple(name for name in names if name in found)


def add_biases(model: nn.Module, added: Mapping[str, int]) -> None:
    """Give layers without a bias one of zeros (for repairs that fold constants into it).

    Args:
        model: Changed in place.
        added: Lengths by name, such as {"conv.bias": 8}.

    Raises:
        MismatchError: A layer has not so many outputs.
    """
    for name, length in added.items():
        module: Any = model.get_submodule(name.rpartition(".")[0])
        if outputs_of(module) != length:  # before so much memory is asked for
            raise MismatchError(
                f"plan: '{name}' is to have {length} entries, and the layer has {outputs_of(module)} outputs; give the "
                "plan that belongs to this network."
            )
        if getattr(module, "bias", None) is None:
            module.register_parameter("bias", nn.Parameter(module.weight.new_zeros(length)))


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
