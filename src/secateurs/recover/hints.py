"""What leaves the blocks of two networks, side by side: where a smaller one can be told what is inside the original."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.errors import InputError
from secateurs.running.eval_mode import evaluation
from secateurs.surgery.plan import Plan


@dataclass(frozen=True, eq=False)
class Watched:
    """Outputs of some modules of a network, as its last forward pass left them; emptied by `taken`."""

    outputs: dict[str, Tensor] = field(default_factory=dict)

    def taken(self) -> dict[str, Tensor]:
        """The outputs by name."""
        found = dict(self.outputs)
        self.outputs.clear()
        return found


@contextmanager
def watched(model: nn.Module, names: Any) -> Iterator[Watched]:
    """Hold what leaves the named modules at every forward pass inside the block.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
        >>> with watched(net, ["1"]) as seen:
        ...     _ = net(torch.zeros(1, 2))
        >>> seen.taken()["1"].shape
        torch.Size([1, 3])
    """
    seen = Watched()

    def hook(name: str) -> Any:
        def keep(_module: nn.Module, _args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                seen.outputs[name] = output

        return keep

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def comparable(
    small: nn.Module, model: nn.Module, inputs: tuple[Tensor, ...], plan: Plan | None = None
) -> dict[str, Tensor | None]:
    """Blocks whose outputs can be compared, with the channels of the original's that stayed; None for all of them.

    A block is a module with modules in it, below the network itself. Where its outputs have fewer channels, the plan
    says which: those of its last layer that was cut.

    Args:
        small: The smaller network.
        model: The original.
        inputs: A few samples.
        plan: What was removed, where that is known.

    Raises:
        InputError: There is none.
    """
    names = [
        name
        for name, module in small.named_modules()
        if name and any(True for _ in module.children()) and name in dict(model.named_modules())
    ]
    shapes = []
    for network in (small, model):
        with watched(network, names) as seen, evaluation(network), torch.no_grad():
            network(*inputs)
            shapes.append({name: tuple(x.shape) for name, x in seen.taken().items()})
    kept = {} if plan is None else _kept(plan)
    kept = {name: kept[name] for name in small.state_dict() if name in kept}  # a plan has an order of its own
    found: dict[str, Tensor | None] = {}
    for name in names:
        ours, theirs = (each.get(name) for each in shapes)
        if ours is None or theirs is None:
            continue
        if ours == theirs:
            found[name] = None
        elif len(ours) == len(theirs) and (ours[0], *ours[2:]) == (theirs[0], *theirs[2:]):
            positions = _of_block(kept, name, ours[1], theirs[1])
            if positions is not None:
                found[name] = positions
    if not found:
        raise InputError(
            "hints: no block of the network has an output that can be compared with the teacher's; leave hints at 0, "
            "or give the plan."
        )
    return found


def _kept(plan: Plan) -> dict[str, tuple[int, Tensor]]:
    """Filters of the original that stayed, by the tensor that holds them, and how many there were."""
    found: dict[str, tuple[int, Tensor]] = {}
    for step in plan.steps:
        for name, axes in step.slices.items():
            if 0 in axes:
                now = torch.as_tensor(np.asarray(axes[0]), dtype=torch.long)
                size, before = found.get(name, (step.shapes[name][0], None))
                found[name] = (size, now if before is None else before[now])
    return found


def _of_block(kept: Mapping[str, tuple[int, Tensor]], block: str, now: int, before: int) -> Tensor | None:
    fitting = [
        positions
        for name, (size, positions) in kept.items()
        if name.startswith(f"{block}.") and size == before and len(positions) == now
    ]
    return fitting[-1] if fitting else None
