"""A training under way goes on in the smaller network: what an optimiser and an average hold, cut like the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from secateurs.checks import check_kind, check_model, shown
from secateurs.errors import InputError, MismatchError
from secateurs.layers.tensors import take
from secateurs.surgery.plan import Plan
from secateurs.surgery.remove import remove


def carried_tensors(tensors: Mapping[str, Tensor], plan: Plan) -> dict[str, Tensor]:
    """Tensors by the names of a network's parameters and buffers, with what a plan removed from those taken out.

    For averages, masks or anything else that is kept beside the weights in their shapes.

    Args:
        tensors: By name, as `state_dict` has them; not all have to be there.
        plan: What was removed.

    Returns:
        New tensors; those that nothing was removed from are the same.

    Raises:
        InputError: The plan put frames around convolutions or took them away, which moves weights elsewhere.
        MismatchError: A tensor has not the shape that the plan begins with.

    Example:
        >>> import torch
        >>> from secateurs.surgery.plan import Step
        >>> step = Step({"weight": {0: (1, 2)}}, {"weight": (3, 4)})
        >>> carried_tensors({"weight": torch.ones(3, 4)}, Plan({}, {}, (step,)))["weight"].shape
        torch.Size([2, 4])
    """
    _check_cuts(plan)
    found = dict(tensors)
    for step in plan.steps:
        for name, axes in step.slices.items():
            if name in found:
                shape = tuple(step.shapes[name])
                if tuple(found[name].shape) != shape:
                    raise MismatchError(
                        f"tensors: '{name}' has shape {tuple(found[name].shape)}, and the plan begins with {shape}; "
                        "give those of the network that was pruned."
                    )
                found[name] = take(found[name], {a: np.asarray(p) for a, p in axes.items()})
    return found


def carried_optimizer(optimizer: Optimizer, model: nn.Module, small: nn.Module, plan: Plan) -> Optimizer:
    """The optimiser of a network under training, for the smaller one: same settings, its state cut with the weights.

    Momentum and moments of what stayed go on; parameters that a repair added begin without. Parameters that
    standardised weights became also do.

    Args:
        optimizer: Of the parameters of `model`.
        model: The network before the removal.
        small: The network after it.
        plan: What was removed.

    Returns:
        A new optimiser of the same class; the old one and its tensors are untouched.

    Raises:
        InputError: A parameter of the optimiser is none of the model's, its state has a form that cannot be cut, or
            the plan moves weights elsewhere.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import secateurs as sc
        >>> net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        >>> net(torch.ones(1, 3)).sum().backward(); optimizer.step()
        >>> result = sc.prune(net, torch.ones(1, 3), method="l1-norm", keep=0.5)
        >>> again = carried_optimizer(optimizer, net, result.model, result.plan)
        >>> again.state[result.model[0].weight]["momentum_buffer"].shape
        torch.Size([4, 3])
    """
    check_kind("optimizer", optimizer, Optimizer, "a torch.optim optimiser")
    check_model(model)
    check_model(small, "small")
    _check_cuts(plan)
    names = {id(p): name for name, p in model.named_parameters(remove_duplicate=False)}
    there = dict(small.named_parameters(remove_duplicate=False))
    added = {name for step in plan.steps for name in step.added}
    groups = []
    for group in optimizer.param_groups:
        kept = []
        for parameter in group["params"]:
            name = names.get(id(parameter))
            if name is None or name not in there:
                raise InputError(
                    f"optimizer: one of its parameters (shape {tuple(parameter.shape)}) is not in both networks; "
                    "give the optimiser of `model`, and the plan from `model` to `small`."
                )
            kept.append(there[name])
            bias = f"{name.rpartition('.')[0]}.bias".removeprefix(".")
            if name.endswith("weight") and bias in added and bias not in names.values():
                kept.append(there[bias])
        groups.append({**{k: copy.copy(v) for k, v in group.items() if k != "params"}, "params": kept})
    made = _made(optimizer, groups)
    plain = {f"{layer}.weight" for step in plan.steps for layer in step.plain}
    for parameter, state in optimizer.state.items():
        held = names[id(parameter)]
        if held not in plain:
            made.state[there[held]] = dict(_cut(held, parameter, state, plan))
    return made


def carried_average(average: nn.Module, plan: Plan) -> nn.Module:
    """An exponential or plain average of a network's weights, as that of the smaller network.

    Args:
        average: A network of the same class, or an `AveragedModel` around one.
        plan: What was removed from the network that it averages.

    Returns:
        A new one, with the same number of updates.

    Raises:
        MismatchError: It is the average of another network.

    Example:
        >>> from torch import nn
        >>> from secateurs.surgery.plan import Step
        >>> average = AveragedModel(nn.Linear(4, 3))
        >>> step = Step({"weight": {0: (1, 2)}, "bias": {0: (1, 2)}}, {"weight": (3, 4), "bias": (3,)})
        >>> carried_average(average, Plan({"weight": (1, 2)}, {"weight": 3}, (step,))).module
        Linear(in_features=4, out_features=2, bias=True)
    """
    check_model(average, "average")
    if not isinstance(average, AveragedModel):
        return remove(average, plan)
    made = AveragedModel(
        remove(average.module, plan),
        multi_avg_fn=average.multi_avg_fn,
        avg_fn=average.avg_fn,
        use_buffers=average.use_buffers,
    )
    made.n_averaged.copy_(average.n_averaged)
    return made


def _check_cuts(plan: Plan) -> None:
    check_kind("plan", plan, Plan, "the plan of the result")
    if any(step.frames or step.folds for step in plan.steps):
        raise InputError(
            "plan: it put frames around convolutions, after which weights are others; begin the training anew."
        )


def _made(optimizer: Optimizer, groups: list[dict[str, Any]]) -> Optimizer:
    """An optimiser of the same class; its constructor gets the settings that it once got."""
    settings = {k: v for k, v in optimizer.defaults.items() if k != "differentiable"}
    kind: Any = type(optimizer)
    try:
        made: Optimizer = kind(groups, **settings)
    except TypeError:
        made = kind(groups, lr=optimizer.defaults["lr"])
    return made


def _cut(name: str, parameter: Tensor, state: Mapping[str, Any], plan: Plan) -> Iterator[tuple[str, Any]]:
    """The state of one parameter, cut along every axis along which it is as long as the parameter."""
    for key, value in state.items():
        if not isinstance(value, Tensor):
            yield key, copy.copy(value)
        elif value.dim() == 0 or tuple(value.shape) == tuple(parameter.shape):
            yield (
                key,
                (value if value.dim() == 0 else carried_tensors({name: value}, plan)[name]).detach().clone(),
            )
        elif value.dim() == parameter.dim() and all(
            a in (1, b) for a, b in zip(value.shape, parameter.shape, strict=True)
        ):
            yield key, _factored(name, value, plan)
        else:
            raise InputError(
                f"optimizer: its state {shown(key)} of '{name}' has shape {tuple(value.shape)}, the parameter "
                f"{tuple(parameter.shape)}; such a state cannot be cut."
            )


def _factored(name: str, value: Tensor, plan: Plan) -> Tensor:
    """A state with one entry along some axes, as factored second moments have them."""
    for step in plan.steps:
        axes = step.slices.get(name, {})
        value = take(value, {a: np.asarray(p) for a, p in axes.items() if value.shape[a] > 1})
    return value.detach().clone()
