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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from secateurs.errors import InputError
from secateurs.modes import first_sample, inputs_of
from secateurs.surgery.calling import call
from secateurs.surgery.chance import WithoutChance
from secateurs.surgery.copies import copy_model
from secateurs.surgery.surroundings import Surroundings

# Operations that only move, copy or make data; views are recognised by their schema.
_MOVES_TEXT = """
    _reshape_copy _to_copy _unsafe_view arange as_strided_ as_strided_copy cat channel_shuffle clone
    constant_pad_nd copy copy_ detach_ empty empty_like empty_strided expand_copy eye fill fill_ flip full
    full_like gather im2col index index_put index_select lift_fresh lift_fresh_copy linspace masked_fill
    masked_fill_ new_empty new_empty_strided new_full new_ones new_zeros ones ones_like permute_copy
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat
    replication_pad1d replication_pad2d replication_pad3d resize_ roll scalar_tensor select_copy slice_copy
    slice_scatter split_with_sizes_copy stack sym_numel sym_size sym_storage_offset sym_stride squeeze_
    swapaxes_ t_ transpose_ tril triu unfold_copy unsafe_chunk unsafe_split unsafe_split_with_sizes
    unsqueeze_ upsample_nearest1d upsample_nearest2d upsample_nearest3d view_copy where zero_ zeros
    zeros_like _local_scalar_dense is_same_size _assert_async _assert_scalar _assert_tensor_metadata device
"""
_MOVES = frozenset(_MOVES_TEXT.split())


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


def count_costs(model: nn.Module, example: Any, *, around: Surroundings | None = None) -> Costs:
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
    inputs = first_sample(inputs_of(example[0] if type(example) is list else example))
    own = {
        id(t): nn.Parameter(t.detach(), requires_grad=False)
        for t in model.parameters()
        if t.is_floating_point()
    }
    around = around or Surroundings.of(model)
    twin = copy_model(model, own).eval()
    with around.kept(), torch.no_grad():
        try:
            with FakeTensorMode(allow_non_fake_inputs=True) as fake:
                counted = _run(twin, tree_map_only(Tensor, fake.from_tensor, inputs))
        except Exception:  # whatever fails without values may still run with them
            try:
                counted = _run(copy_model(model).eval(), tree_map_only(Tensor, torch.clone, inputs))
            except Exception as error:
                shapes = ", ".join(str(tuple(x.shape)) for x in tree_leaves(inputs) if isinstance(x, Tensor))
                raise InputError(
                    f"The network {type(model).__name__} cannot run on one sample of the example (shapes "
                    f"{shapes}): {type(error).__name__}: {error}"
                ) from error
    macs, uncounted = counted
    return _gather(model, macs, uncounted)


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
        if not (getattr(func, "is_view", False) or name.split(".")[-1] in _MOVES):
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))
