"""Multiply-adds as torchinfo counts them: by the elements of parameters and the positions of what a layer gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.contracts import Example
from secateurs.running.copies import copy_model
from secateurs.running.examples import call, first_sample, inputs_of
from secateurs.running.surroundings import Surroundings


def element_uses(model: nn.Module, example: Example) -> dict[str, float]:
    r"""How often torchinfo counts each element of every parameter as a multiply-add, for one sample.

    Every call of a module without children counts its own parameters: `weight` and `bias` of a module whose class name
    holds "Conv" once for each position of its output (batch times space), those of any other module (linear layers
    and batch norms among them) once for each sample; parameters such as `weight_ih_l0` of recurrent layers once for
    each of the first two axes of the output. Nothing else is counted: no product of activations (attention), no
    parameter of another name or held by a module with children, no function called without a module. So it differs from
    `count_costs` by all biases and norms, and by the spatial positions of layers that are no convolutions.

    Args:
        model: Any network; a copy of it runs once, in evaluation.
        example: An input as the model takes it; its first sample is used, of a list of examples the first.

    Returns:
        Uses by the name of the parameter, a shared one under its first name.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        >>> element_uses(net, torch.zeros(1, 1, 8, 8))
        {'0.weight': 36.0, '0.bias': 36.0, '1.weight': 1.0, '1.bias': 1.0}
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    copied, uses = copy_model(model).eval(), dict[str, float]()
    own = {
        id(twin): names[id(parameter)]
        for (_, parameter), (_, twin) in zip(model.named_parameters(), copied.named_parameters(), strict=True)
    }
    handles = [
        module.register_forward_hook(_counter(own, uses))
        for module in copied.modules()
        if not any(True for _ in module.children())
    ]
    inputs = first_sample(inputs_of(example[0] if type(example) is list else example))
    try:
        with Surroundings.of(model).kept(), torch.no_grad():
            call(copied, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return uses


def _counter(names: dict[int, str], uses: dict[str, float]) -> Callable[[nn.Module, Any, Any], None]:
    def count(module: nn.Module, args: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else next(_tensors(output), None)
        if first is None or first.dim() == 0:
            return
        shape, conv = tuple(first.shape), "Conv" in type(module).__name__
        for name, parameter in module.named_parameters():
            if name in ("weight", "bias"):
                times = math.prod(shape[:1] + shape[2:]) if conv else shape[0]
            elif "weight" in name or "bias" in name:
                times = math.prod(shape[:2])
            else:
                continue
            key = names[id(parameter)]
            uses[key] = uses.get(key, 0.0) + times

    return count


def _tensors(output: Any) -> Any:
    parts = (
        output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else ()
    )
    return (part for part in parts if isinstance(part, Tensor))


def count_elementwise(model: nn.Module, example: Example) -> int:
    """Multiply-adds of one sample as torchinfo counts them (`total_mult_adds`); see `element_uses`.

    Example:
        >>> count_elementwise(nn.Linear(3, 4), torch.zeros(1, 3))
        16
    """
    uses = element_uses(model, example)
    return round(sum(uses.get(name, 0.0) * p.numel() for name, p in model.named_parameters()))
