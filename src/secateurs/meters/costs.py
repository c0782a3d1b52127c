"""Parameters and multiply-adds, by layer, from PyTorch's own counter; what it cannot count is listed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from secateurs.checks import check_example, check_model
from secateurs.contracts import Example
from secateurs.errors import InputError
from secateurs.layers.cut import cut
from secateurs.layers.types import layer_type
from secateurs.network import shapes
from secateurs.network.chance import WithoutChance
from secateurs.network.operations import Kind, kind_of
from secateurs.running.copies import copy_model
from secateurs.running.examples import call, first_sample, inputs_of
from secateurs.running.surroundings import Surroundings

# Operations that only move, copy or make data, and what asks for shapes; views are recognised by their schema.
_FREE: tuple[Kind, ...] = ("movement", "identity", "conversion", "source", "check", "number")


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer: its own parameters, and its own multiply-adds in one pass with one sample."""

    params: int
    macs: int


@dataclass(frozen=True)
class Costs:
    """Cost of a network for a batch of one sample.

    `params` counts every parameter once (tied ones too) and no buffers. `macs` counts one multiply-add once,
    in convolutions, linear layers and matrix products. `by_layer` maps module names, in the network's order,
    to their own cost (`""` is the network itself, for operations outside any layer). `uncounted` maps the
    ATen operations that PyTorch's counter has no formula for to the number of calls; pure data movement is
    left out.
    """

    params: int
    macs: int
    by_layer: Mapping[str, LayerCost]
    uncounted: Mapping[str, int]

    def __str__(self) -> str:
        width = max([len("layer"), *(len(name) for name in self.by_layer)])
        lines = [f"{'layer':<{width}}  {'params':>13}  {'MACs':>16}"]
        for name, cost in self.by_layer.items():
            lines.append(f"{name or '(network)':<{width}}  {cost.params:>13,}  {cost.macs:>16,}")
        lines.append(f"{'total':<{width}}  {self.params:>13,}  {self.macs:>16,}")
        lines.append("For a batch of one sample; one multiply-add counted once.")
        if self.uncounted:
            calls = ", ".join(f"{name} ({n})" for name, n in self.uncounted.items())
            lines.append(f"Not counted, with their calls: {calls}.")
        return "\n".join(lines)


def count_costs(model: nn.Module, example: Example, *, around: Surroundings | None = None) -> Costs:
    r"""Parameters and multiply-adds of a network, by layer, for a batch of one sample.

    A convolution costs :math:`n c k_h k_w h' w' / g` multiply-adds (n filters, c input channels, g groups,
    h' x w' outputs), a linear layer :math:`n d`; biases, batch norm, activations and pooling are not
    multiply-adds of PyTorch's counter and appear in `uncounted`. The network runs once in evaluation mode on
    tensors without storage, so that time and memory hardly depend on its size; where it cannot (its control
    flow reads values), it runs on real ones.

    Args:
        model: Any network; a copy of it runs.
        example: An input as the model takes it: a tensor, or a tuple of positional inputs, batch axis first.
            Only its first sample is used; of a list of examples, the first.
        around: What the model's code keeps outside it, where it has been looked up already.

    Raises:
        InputError: the network cannot run on the example.

    Example:
        >>> costs = count_costs(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(4, 3, 10, 10))
        >>> costs.params, costs.macs
        (224, 21600)
    """
    check_model(model)
    check_example(example)
    inputs = first_sample(inputs_of(example[0] if type(example) is list else example))
    around = around or Surroundings.of(model)
    with around.kept(), torch.no_grad():
        try:
            counted = _without_numbers(model, inputs)
        except Exception:  # whatever fails without values may still run with them
            try:
                counted = _run(copy_model(model).eval(), tree_map_only(Tensor, torch.clone, inputs))
            except Exception as error:
                sizes = ", ".join(str(tuple(x.shape)) for x in tree_leaves(inputs) if isinstance(x, Tensor))
                raise InputError(
                    f"The network {type(model).__name__} cannot run on one sample of the example (shapes "
                    f"{sizes}): {type(error).__name__}: {error}"
                ) from error
    macs, uncounted = counted
    return _gather(model, macs, uncounted)


def _without_numbers(model: nn.Module, inputs: Any) -> tuple[dict[str, int], Counter[str]]:
    """The counts of one pass without numbers: on the meta device, or else on fake tensors of the model's own.

    The meta device takes a third of the time; what takes other operations there than on a processor goes the other way.
    """
    try:
        if any(layer_type(module).larger for module in model.modules()):
            raise _Fused
        twin = cut(model, {}, {}, lambda tensor: tensor.to("meta")).eval()
        with _Unfused():
            return _run(twin, tree_map_only(Tensor, lambda x: x.to("meta"), inputs))
    except Exception:  # code that names a device, say
        own = {
            id(t): nn.Parameter(t.detach(), requires_grad=False)
            for t in model.parameters()
            if t.is_floating_point()
        }
        with FakeTensorMode(allow_non_fake_inputs=True) as fake:
            return _run(copy_model(model, own).eval(), tree_map_only(Tensor, fake.from_tensor, inputs))


class _Fused(Exception):
    """An operation that processors have in one piece."""


class _Unfused(TorchFunctionMode):
    """Inside, functions that processors have in one piece are refused."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The function itself."""
        if kind_of(getattr(func, "__name__", "")) in ("attention", "recurrent"):
            raise _Fused
        return func(*args, **(kwargs or {}))


def _gather(model: nn.Module, macs: Mapping[str, int], uncounted: Mapping[str, int]) -> Costs:
    seen: set[int] = set()
    layers = {}
    for name, module in model.named_modules():
        params = 0
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                params += parameter.numel()
        if params or macs.get(name):
            layers[name] = LayerCost(params, macs.get(name, 0))
    total = sum(cost.params for cost in layers.values())
    return Costs(total, sum(macs.values()), layers, dict(sorted(uncounted.items())))


def _run(model: nn.Module, inputs: Any) -> tuple[dict[str, int], Counter[str]]:
    """Multiply-adds by module name and uncounted operations of one pass."""
    watcher = _Watcher()
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    flops: Counter[str] = Counter()
    with ExitStack() as stack:
        stack.enter_context(WithoutChance())  # under a function mode, fused encoders run as their parts
        # The watcher is outside the counter, so it meets operations after the counter has taken them apart.
        stack.enter_context(watcher)
        stack.enter_context(counter)
        stack.enter_context(_own_flops(model, counter, flops))
        call(model, inputs)
    flops[""] += counter.get_total_flops() - sum(flops.values())
    counted = {str(op) for by_op in counter.get_flop_counts().values() for op in by_op}
    uncounted = Counter({op: n for op, n in watcher.calls.items() if op not in counted})
    return {name: n // 2 for name, n in flops.items() if n}, uncounted


def _recurrent(x: Any, inner: Any, hidden: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    """FLOPs of one recurrent layer: two products per step, x with the input weights and h with the hidden ones."""
    return int(2 * math.prod(x[:2]) * (math.prod(inner) + math.prod(hidden)))


def _attention(q: Any, k: Any, v: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    """FLOPs of one attention: queries with keys, and their weights with the values."""
    return int(2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1]))


# Fused operations of processors that PyTorch's counter has no formula for.
_FORMULAS: dict[Any, Any] = {
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}


@contextmanager
def _own_flops(model: nn.Module, counter: FlopCounterMode, flops: Counter[str]) -> Iterator[None]:
    """Add to `flops` what each module spends itself, its children excluded, also where modules are shared."""
    open_calls: list[list[int]] = []  # total at entry, spent by the children

    def enter(module: nn.Module, args: Any) -> None:
        open_calls.append([counter.get_total_flops(), 0])

    def leave(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            start, inside = open_calls.pop()
            spent = counter.get_total_flops() - start
            flops[name] += spent - inside
            if open_calls:
                open_calls[-1][1] += spent

        return hook

    handles = []
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the calls of every operation that is more than data movement."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func._overloadpacket)
        if not (getattr(func, "is_view", False) or kind_of(name.split(".")[-1]) in _FREE):
            self.calls[name] += 1
        return shapes.run(func, args, kwargs or {})
