"""Run a network again and again with a few weights changed: only what lies behind the change runs.

The network is captured once as a flat list of operations. Values that are alive at chosen places are kept for all
samples (checkpoints); a run with changed weights starts at the last checkpoint before their first use. Batch norms
behind convolutions are folded into them, which halves the work between convolutions.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.utils import _pytree as pytree

from secateurs.surgery.cut import named_tensors
from secateurs.surgery.tandem import Captured, Values, norm_affine, operation

_NORM = "_native_batch_norm_legit_no_training"
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
_LAYERS = (*_CONVOLUTIONS, "linear", "convolution", "addmm", "mm", "matmul", "bmm")
Checkpoints = dict[int, list[Values]]


class Replay:
    """One network in evaluation mode on a fixed set of samples.

    Args:
        model: Any network that torch.export captures.
        chunks: The samples, in chunks of one size.
        fuse: Whether to fold batch norms; without, values inside are those of the model's own operations.

    `passes` counts what has been run, in passes of the whole network over all samples (by multiply-adds).
    """

    def __init__(self, model: nn.Module, chunks: Sequence[Sequence[Tensor]], *, fuse: bool = True) -> None:
        self.net = Captured(model, chunks[0])
        nodes, index = self.net.nodes, self.net.index
        outputs = next(n for n in nodes if n.op == "output")
        found = [index[n] for n in pytree.tree_leaves(outputs.args) if isinstance(n, Node)]
        self.outputs = [i for i in found if isinstance(nodes[i].meta.get("val"), Tensor)]
        self.steps = _needed(self.net, self.outputs)
        self.last = _last_uses(self.net, self.steps, self.outputs)
        self.costs = {i: _cost(nodes[i]) for i in self.steps}
        self.whole = max(1.0, sum(self.costs.values())) * len(chunks)
        self.passes = 0.0
        self.chunks = [dict(zip(self.net.inputs, chunk, strict=True)) for chunk in chunks]
        self.readers = _readers(self.net, self.steps)
        self.changed: dict[int, Tensor] = {}
        self.checkpoints: Checkpoints = {}
        self._fused = _fusable(self.net, self.steps) if fuse else {}
        self._normed = {norm: conv for conv, norm in self._fused.items()}
        self._ready: dict[int, tuple[Tensor, Tensor]] = {}

    def reads(self, names: Iterable[str]) -> list[int]:
        """The operations that read any of these weights, in order."""
        return sorted({i for name in names for i in self.readers.get(name, ())})

    def place(self, starts: Iterable[int], memory: float = 1.5e9) -> None:
        """Choose checkpoints at (or before) the operations from which runs will start; none is kept yet.

        Args:
            starts: Operations.
            memory: Bytes that they may take; where that is too little, fewer are placed.
        """
        wanted = sorted(set(starts))
        every = 1
        while len(wanted[::every]) > 1 and self._bytes(wanted[::every]) > memory:
            every += 1
        self.checkpoints = {at: [] for at in wanted[::every]}

    @torch.no_grad()
    def run(
        self,
        weights: Mapping[str, Tensor] | None = None,
        start: int | None = None,
        stop: Collection[int] | None = None,
    ) -> tuple[list[list[Tensor]], Checkpoints]:
        """One run with the weights that are committed and these on top.

        Args:
            weights: By name.
            start: The first operation that reads one of them; the first of all by default.
            stop: Operations whose values are wanted instead of the outputs; the run ends with the last.

        Returns:
            The values wanted, a list for each chunk, and the checkpoints that differ from the present ones.
        """
        changed = {**self.changed, **self._placed(weights or {})}
        ready = {conv: self._scaled(conv, changed) for conv in self._fused}
        at = max((c for c in self.checkpoints if start is not None and c <= start), default=-1)
        wanted = self.outputs if stop is None else list(stop)
        end = max(wanted, default=-1)
        steps = [i for i in self.steps if at <= i <= end]
        fresh: Checkpoints = {c: [] for c in self.checkpoints if at < c and stop is None}
        results = []
        for number, inputs in enumerate(self.chunks):
            values = dict(self.checkpoints[at][number]) if at >= 0 else dict(inputs)
            results.append(self._pass(steps, values, changed, ready, wanted, fresh))
        self.passes += sum(self.costs[i] for i in steps) * len(self.chunks) / self.whole
        return results, fresh

    def commit(self, weights: Mapping[str, Tensor], fresh: Checkpoints) -> None:
        """Let these weights be the present ones, with the checkpoints that a run with them gave."""
        self.changed.update(self._placed(weights))
        self._ready = {c: r for c, r in self._ready.items() if self._weight(c) not in self.changed}
        self.checkpoints.update(fresh)

    def _pass(
        self,
        steps: Sequence[int],
        values: Values,
        changed: Mapping[int, Tensor],
        ready: Mapping[int, tuple[Tensor, Tensor]],
        wanted: Sequence[int],
        fresh: Checkpoints,
    ) -> list[Tensor]:
        kept: Values = {}
        for i in steps:
            if i in fresh:
                fresh[i].append(dict(values))
            if i in ready:
                values[i] = self._convolved(i, values, *ready[i])
            elif i in self._normed:
                values[i] = (values[self._normed[i]],)
            else:
                values[i] = self.net.run(i, {**values, **changed} if changed else values)
            if i in wanted:
                kept[i] = values[i]
            for node in (*self.net.nodes[i].all_input_nodes, self.net.nodes[i]):
                before = self.net.index[node]
                if self.last.get(before, -1) <= i and before in values:
                    del values[before]
        return [kept[i] if i in kept else values[i] for i in wanted]

    def _convolved(self, index: int, values: Values, weight: Tensor, bias: Tensor) -> Tensor:
        node = self.net.nodes[index]
        x = values[self.net.index[node.args[0]]]  # type: ignore[index]
        result: Tensor = node.target(x, weight, bias, *node.args[3:], **node.kwargs)  # type: ignore[operator]
        return result

    def _placed(self, weights: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """Weights by node."""
        found = {}
        for i, name in self.net.state.items():
            if name in weights:
                value = weights[name].to(self.net.weights[i])
                found[i] = value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        return found

    def _weight(self, conv: int) -> int:
        return self.net.index[self.net.nodes[conv].args[1]]  # type: ignore[index]

    def _scaled(self, conv: int, changed: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution with the batch norm behind it."""
        at = self._weight(conv)
        if at not in changed or changed.get(at) is self.changed.get(at):
            if conv not in self._ready:
                self._ready[conv] = self._folded(conv, changed.get(at, self.net.weights[at]))
            return self._ready[conv]
        return self._folded(conv, changed[at])

    def _folded(self, conv: int, weight: Tensor) -> tuple[Tensor, Tensor]:
        node, norm = self.net.nodes[conv], self.net.nodes[self._fused[conv]]

        def read(item: Any) -> Tensor | None:
            return self.net.weights[self.net.index[item]] if isinstance(item, Node) else None

        gamma, beta, mean, var = (read(item) for item in norm.args[1:5])
        assert mean is not None
        assert var is not None
        scale, shift = norm_affine(gamma, beta, mean, var, float(norm.args[6]))  # type: ignore[arg-type]
        bias = read(node.args[2]) if len(node.args) > 2 else None
        shift = shift if bias is None else shift + bias * scale
        return weight * scale.reshape(-1, *(1 for _ in weight.shape[1:])), shift

    def _bytes(self, places: Sequence[int]) -> float:
        """Of all values alive at any of these operations, each once."""
        alive = {
            i
            for at in places
            for i in (*self.steps, *self.net.inputs)
            if i < at <= self.last.get(i, -1) and not self.net.known(i)
        }
        return sum(_size(self.net.nodes[i]) for i in alive) * len(self.chunks)


def _needed(net: Captured, outputs: Sequence[int]) -> list[int]:
    """Operations that the outputs depend on, in order."""
    seen: set[int] = set()
    stack = list(outputs)
    while stack:
        i = stack.pop()
        if i not in seen:
            seen.add(i)
            stack.extend(net.index[n] for n in net.nodes[i].all_input_nodes)
    return sorted(i for i in seen if net.nodes[i].op == "call_function")


def _last_uses(net: Captured, steps: Sequence[int], outputs: Sequence[int]) -> dict[int, int]:
    last = {}
    for i in steps:
        last[i] = i
        for node in net.nodes[i].all_input_nodes:
            last[net.index[node]] = i
    return {**last, **{i: len(net.nodes) for i in outputs}}


def _readers(net: Captured, steps: Sequence[int]) -> dict[str, list[int]]:
    """Operations that read each parameter, under every name it has."""
    names: dict[int, list[str]] = {}
    for name, tensor in named_tensors(net.model):
        names.setdefault(id(tensor), []).append(name)
    twins = {name: group for group in names.values() for name in group}
    found: dict[str, list[int]] = {}
    for i in steps:
        for node in net.nodes[i].all_input_nodes:
            for name in twins.get(net.state.get(net.index[node], ""), ()):
                found.setdefault(name, []).append(i)
    return found


def _fusable(net: Captured, steps: Sequence[int]) -> dict[int, int]:
    """Convolutions that only a batch norm reads, with it."""
    found = {}
    for i in steps:
        node = net.nodes[i]
        users = list(node.users)
        if operation(node) not in _CONVOLUTIONS or len(users) != 1 or operation(users[0]) != _NORM:
            continue
        state = [a for a in (*node.args[1:3], *users[0].args[1:5]) if isinstance(a, Node)]
        weight = node.args[1]
        if (
            all(net.index[a] in net.state for a in state)
            and isinstance(weight, Node)
            and len(weight.users) == 1
            and all(a.target is operator.getitem and a.args[1] == 0 for a in users[0].users)
        ):
            found[i] = net.index[users[0]]
    return found


def _cost(node: Node) -> float:
    """Multiply-adds of a layer; of other operations next to nothing."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (tuple, list)) and value else value
    if not isinstance(value, Tensor):
        return 0.0
    if operation(node) not in _LAYERS:
        return float(value.numel()) * 1e-3
    weight = node.args[1]
    shape = weight.meta["val"].shape if isinstance(weight, Node) else ()
    return float(value.numel()) * math.prod(shape) / max(1, shape[0] if shape else 1)


def _size(node: Node) -> float:
    value = node.meta.get("val")
    leaves = [v for v in pytree.tree_leaves(value) if isinstance(v, Tensor)]
    return float(sum(v.numel() * v.element_size() for v in leaves))
