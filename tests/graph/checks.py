"""What every network has to survive: shared by the tests of patterns, of random networks, and by the benchmarks."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from plain_recurrent import PlainCell, PlainRecurrent
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from secateurs.graph import Graph, Tracer
from secateurs.surgery import Plan, Verification, remove, verify
from secateurs.surgery.plan import make_step
from secateurs.surgery.retrace import retrace_by_values

ROUNDS = 8


@dataclass(frozen=True)
class Cut:
    """One network, pruned and proven."""

    graph: Graph
    keep: dict[str, np.ndarray]
    plan: Plan
    small: nn.Module
    proof: Verification
    seconds: dict[str, float] = field(default_factory=dict)


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and every batch-norm statistic random, sized so that outputs stay finite and branches count."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() < 2 or p.numel() == max(p.shape):
                p.copy_(
                    (torch.rand(p.shape, generator=draw) * 0.8 + 0.6) * torch.where(p.mean() < 0, -1.0, 1.0)
                )
            else:
                fan = max(1, p.numel() // p.shape[0])
                p.copy_(torch.randn(p.shape, generator=draw) * (1.4 / fan) ** 0.5)
        for name, p in model.named_parameters():
            if name.endswith("bias") or "bias_" in name:
                p.copy_(torch.randn(p.shape, generator=draw) * 0.3)
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=draw) * 0.2)
            if name.endswith("running_var"):
                b.copy_(torch.rand(b.shape, generator=draw) + 0.5)
    return model


def half(size: int, rng: np.random.Generator) -> np.ndarray:
    """Half of the units, at random places."""
    return np.sort(rng.permutation(size)[: max(1, size - size // 2)])


def some(size: int, rng: np.random.Generator) -> np.ndarray:
    """Any number of units from one to all, at random places."""
    return np.sort(rng.permutation(size)[: rng.integers(1, size + 1)])


def plan_of(graph: Graph, keep: dict[str, np.ndarray]) -> Plan:
    """The plan that keeps exactly these units."""
    counts = graph.counts(keep)
    slices = graph.slices(keep)
    plain = graph.plain if slices else ()
    step = make_step(slices, graph.shapes, attributes=graph.attributes(keep), plain=plain)
    return Plan(
        {name: tuple(int(u) for u in units) for name, units in keep.items()},
        {group.name: group.size for group in graph.groups},
        (step,),
        predicted={"macs": graph.costs.macs(counts), "params": graph.costs.params(counts)},
    )


def prune(
    model: nn.Module, example: Any, choose: Any = half, seed: int = 0, tracer: Tracer | None = None
) -> Cut:
    """Trace, remove a share of every free group, prove; what fails by values is locked and tried again."""
    tracer = tracer or Tracer(model, example)
    graph = tracer.graph()
    for _ in range(ROUNDS):
        rng = np.random.default_rng(seed)
        keep = {group.name: choose(group.size, rng) for group in graph.free}
        plan = plan_of(graph, keep)
        small = remove(model, plan)
        proof = verify(model, small, graph.silenced(keep), example, kept=graph.slices(keep))
        if proof.passed:
            break
        again = retrace_by_values(tracer, keep)
        if again is None:
            break
        graph = again
    return Cut(graph, keep, plan, small, proof)


def outputs(model: nn.Module, example: Any) -> list[Tensor]:
    """All tensors of one evaluation pass."""
    model.eval()
    args = (example,) if isinstance(example, Tensor) else () if isinstance(example, dict) else tuple(example)
    kwargs = example if isinstance(example, dict) else {}
    with torch.no_grad():
        torch.manual_seed(0)
        return [leaf for leaf in pytree.tree_leaves(model(*args, **kwargs)) if isinstance(leaf, Tensor)]


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    """Largest difference of any output, relative to that output's largest value."""
    worst = 0.0
    for left, right in zip(a, b, strict=True):
        assert left.shape == right.shape
        if left.numel():
            scale = float(left.double().abs().max()) or 1.0
            worst = max(worst, float((left.double() - right.double()).abs().max()) / scale)
    return worst


class _Quiet(TorchFunctionMode):
    """Zeroes the inputs of functional layers whose weight is one of the given tensors."""

    def __init__(self, removed: dict[int, Tensor]) -> None:
        super().__init__()
        self.removed = removed

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if len(args) > 1 and id(args[1]) in self.removed and name.startswith(("conv", "linear")):
            axis = -1 if name == "linear" else 1
            args = (_zeroed(args[0], axis, self.removed[id(args[1])]), *args[1:])
        return func(*args, **(kwargs or {}))


def _zeroed(x: Tensor, axis: int, positions: Tensor) -> Tensor:
    return x.clone().index_fill_(axis, positions, 0)


def silenced_by_hooks(
    model: nn.Module, graph: Graph, keep: dict[str, np.ndarray]
) -> tuple[nn.Module, TorchFunctionMode]:
    """A copy of the model whose layers see zeros in the channels that leave: an independent statement of silencing.

    Returns the copy and the context to run it in.
    """
    for module in model.modules():  # tensors that hooks compute (old weight norm) cannot be copied otherwise
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                module.__dict__[name] = value.detach()
    whole = copy.deepcopy(model).double()
    tensors = dict(whole.named_parameters(remove_duplicate=False))
    bare: dict[int, Tensor] = {}
    gone: dict[str, list[int]] = {}
    for group in graph.groups:
        lost = np.setdiff1d(np.arange(group.size), keep.get(group.name, np.arange(group.size)))
        for slot in group.slots_as("consumer"):
            gone.setdefault(slot.tensor, []).extend(slot.positions[lost].ravel().tolist())
    loops: dict[str, dict[str, Tensor]] = {}
    for tensor, positions in gone.items():
        index = torch.tensor(sorted(set(positions)), dtype=torch.long)
        path, _, own = tensor.rpartition(".")
        if isinstance(whole.get_submodule(path), (nn.RNNBase, nn.RNNCellBase)):
            loops.setdefault(path, {})[own] = index
            continue
        readers = _readers(whole, tensor, tensors)
        for module in readers:
            _hook(module, index)
        if not readers and tensor in tensors:
            bare[id(tensors[tensor])] = index
    for path, quiet in loops.items():
        _replace(whole, path, quiet)
    return whole, _Quiet(bare)


def _replace(whole: nn.Module, path: str, quiet: dict[str, Tensor]) -> None:
    """A recurrent layer by loops over time, in which single weights can be given zeros."""
    made = whole.get_submodule(path)
    plain = (PlainRecurrent if isinstance(made, nn.RNNBase) else PlainCell)(made, quiet)
    parent, _, name = path.rpartition(".")
    setattr(whole.get_submodule(parent), name, plain)


def _readers(whole: nn.Module, tensor: str, tensors: dict[str, Tensor]) -> list[nn.Module]:
    """The standard layers whose weight a tensor is, or is made from by a reparametrisation."""
    path = (
        tensor.split(".parametrizations")[0] if ".parametrizations" in tensor else tensor.rpartition(".")[0]
    )
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    own = whole.get_submodule(path)
    same = [
        module
        for module in whole.modules()
        if isinstance(module, kinds) and any(p is tensors.get(tensor) for p in module._parameters.values())
    ]
    return same or ([own] if isinstance(own, kinds) else [])


def _hook(module: nn.Module, index: Tensor) -> None:
    if isinstance(module, nn.modules.conv._ConvNd):
        axis = -len(module.kernel_size) - 1
        if module.groups > 1 and not module.transposed:
            per = module.in_channels // module.groups
            index = torch.cat([index + k * per for k in range(module.groups)])
    else:
        axis = -1

    def quiet(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_zeroed(args[0], axis, index), *args[1:])

    module.register_forward_pre_hook(quiet)


def double(example: Any) -> Any:
    """The example with its floats in float64."""
    return pytree.tree_map(
        lambda x: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x, example
    )
