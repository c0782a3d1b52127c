"""Run a network again and again with a few weights changed: only what lies behind the change runs.

Values that are alive at chosen places are cached for all samples; a run with changed weights starts at the last of
these places before their first use. Batch norms behind convolutions are folded into them, which halves the work
between convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from secateurs.errors import InputError
from secateurs.layers.batch_norm import norm_affine
from secateurs.layers.tensors import named_tensors
from secateurs.network.blocks import batch_norm_after
from secateurs.network.exported import ExportedNetwork, Exports, Values, is_batch_norm, operation
from secateurs.network.interpreter import Interpreter
from secateurs.network.operations import OPERATIONS

Caches = dict[int, list[Values]]


class IncrementalRunner:
    """One network in evaluation mode on a fixed set of samples.

    Args:
        model: Any network that torch.export captures.
        chunks: The samples, in chunks of one size.
        fuse: Whether to fold batch norms; without, values inside are those of the model's own operations.
        exports: Captures that are known already.

    `passes` counts what has been run, in passes of the whole network over all samples (by multiply-adds).
    """

    def __init__(
        self,
        model: nn.Module,
        chunks: Sequence[Sequence[Tensor]],
        *,
        fuse: bool = True,
        exports: Exports | None = None,
    ) -> None:
        self.net = (exports or Exports()).of(model, chunks[0])
        self.outputs = self.net.outputs
        self.interpreter = Interpreter(self.net, self.outputs)
        self.costs = {i: _cost(self.net.nodes[i]) for i in self.interpreter.ops}
        self.whole = max(1.0, sum(self.costs.values())) * len(chunks)
        self.passes = 0.0
        self.chunks = [dict(zip(self.net.inputs, chunk, strict=True)) for chunk in chunks]
        self.uses = _uses(self.net, self.interpreter.ops)
        self.changed: dict[int, Tensor] = {}
        self.caches: Caches = {}
        self._fused = _fusable(self.net, self.interpreter.ops) if fuse else {}
        self._ready: dict[int, tuple[Tensor, Tensor]] = {}

    def reads(self, names: Iterable[str]) -> list[int]:
        """The operations that read any of these weights, in order."""
        return sorted({i for name in names for i in self.uses.get(name, ())})

    def last_batch_norm(self) -> int:
        """The batch norm that runs last.

        Raises:
            InputError: There is none.
        """
        found = [i for i in self.interpreter.ops if is_batch_norm(self.net.nodes[i])]
        if not found:
            raise InputError(
                "error: 'features' are the values of the last batch norm, and this network has none; use 'output'."
            )
        return found[-1]

    def cache_before(self, starts: Iterable[int], memory: float = 1.5e9) -> None:
        """Choose where to cache: at (or before) the operations from which runs will start; nothing is kept yet.

        Args:
            starts: Operations.
            memory: Bytes that the values may take; where that is too little, there are fewer places.
        """
        wanted = sorted(set(starts))
        every = 1
        while len(wanted[::every]) > 1 and self._bytes(wanted[::every]) > memory:
            every += 1
        self.caches = {at: [] for at in wanted[::every]}

    @torch.no_grad()
    def run(
        self,
        weights: Mapping[str, Tensor] | None = None,
        start: int | None = None,
        stop: Collection[int] | None = None,
    ) -> tuple[list[list[Tensor]], Caches]:
        """One run with the weights that are committed and these on top.

        Args:
            weights: By name.
            start: The first operation that reads one of them; the first of all by default.
            stop: Operations whose values are wanted instead of the outputs; the run ends with the last.

        Returns:
            The values wanted, a list for each chunk, and the caches that differ from the present ones.
        """
        changed = {**self.changed, **self._by_node(weights or {})}
        at = max((c for c in self.caches if start is not None and c <= start), default=-1)
        wanted = self.outputs if stop is None else list(stop)
        ops = [i for i in self.interpreter.ops if at <= i <= max(wanted, default=-1)]
        fresh: Caches = {c: [] for c in self.caches if at < c and stop is None}
        instead = self._instead(changed)

        def cache(i: int, values: Values) -> None:
            if i in fresh:
                fresh[i].append({j: v for j, v in values.items() if j not in changed})

        results = []
        for number, inputs in enumerate(self.chunks):
            values = {**(self.caches[at][number] if at >= 0 else inputs), **changed}
            self.interpreter.run(values, ops, instead=instead, keep=wanted, before=cache)
            results.append([values[i] for i in wanted])
        self.passes += sum(self.costs[i] for i in ops) * len(self.chunks) / self.whole
        return results, fresh

    def commit(self, weights: Mapping[str, Tensor], fresh: Caches) -> None:
        """Let these weights be the present ones, with the caches that a run with them gave."""
        self.changed.update(self._by_node(weights))
        self._ready = {c: r for c, r in self._ready.items() if self.net.given(c, 1) not in self.changed}
        self.caches.update(fresh)

    def _instead(self, changed: Mapping[int, Tensor]) -> dict[int, Any]:
        """Convolutions with the batch norm behind them, and these norms as the identity."""
        made: dict[int, Any] = {}
        for conv, norm in self._fused.items():
            made[conv] = partial(self._convolved, conv, *self._scaled(conv, changed))
            made[norm] = itemgetter(conv)
        return made

    def _convolved(self, index: int, weight: Tensor, bias: Tensor, values: Values) -> Tensor:
        node = self.net.nodes[index]
        x = values[self.net.index[node.args[0]]]  # type: ignore[index]
        result: Tensor = node.target(x, weight, bias, *node.args[3:], **node.kwargs)  # type: ignore[operator]
        return result

    def _by_node(self, weights: Mapping[str, Tensor]) -> dict[int, Tensor]:
        found = {}
        for i, name in self.net.state.items():
            if name in weights:
                value = weights[name].to(self.net.weights[i])
                found[i] = value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        return found

    def _scaled(self, conv: int, changed: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution with the batch norm behind it."""
        at = self.net.given(conv, 1)
        assert at is not None
        if at not in changed or changed.get(at) is self.changed.get(at):
            if conv not in self._ready:
                self._ready[conv] = self._folded(conv, changed.get(at, self.net.weights[at]))
            return self._ready[conv]
        return self._folded(conv, changed[at])

    def _folded(self, conv: int, weight: Tensor) -> tuple[Tensor, Tensor]:
        norm = self._fused[conv]

        def read(index: int, position: int) -> Tensor | None:
            at = self.net.given(index, position)
            return None if at is None else self.net.weights[at]

        gamma, beta, mean, var = (read(norm, position) for position in range(1, 5))
        assert mean is not None
        assert var is not None
        eps = float(self.net.nodes[norm].args[7])  # type: ignore[arg-type]
        scale, shift = norm_affine(gamma, beta, mean, var, eps)
        bias = read(conv, 2)
        shift = shift if bias is None else shift + bias * scale
        folded = weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))
        return folded.to(weight.dtype), shift.to(weight.dtype)

    def _bytes(self, places: Sequence[int]) -> float:
        """Of all values alive at any of these operations, each once."""
        alive = {i for at in places for i in self.interpreter.alive(at)}
        return sum(self.interpreter.size(i) for i in alive) * len(self.chunks)


def _uses(net: ExportedNetwork, ops: Sequence[int]) -> dict[str, list[int]]:
    """Operations that read each parameter, under every name it has."""
    names: dict[int, list[str]] = {}
    for name, tensor in named_tensors(net.model):
        names.setdefault(id(tensor), []).append(name)
    twins = {name: group for group in names.values() for name in group}
    found: dict[str, list[int]] = {}
    for i in ops:
        for node in net.nodes[i].all_input_nodes:
            for name in twins.get(net.state.get(net.index[node], ""), ()):
                found.setdefault(name, []).append(i)
    return found


def _fusable(net: ExportedNetwork, ops: Sequence[int]) -> dict[int, int]:
    """Convolutions that only a batch norm reads, with it, where all their numbers are stored."""
    found = {}
    for i in ops:
        entry, norm = OPERATIONS.get(operation(net.nodes[i])), batch_norm_after(net, i)
        if norm is None or entry is None or entry.passes != "convolution":
            continue
        state = [net.given(i, 1), net.given(i, 2), *(net.given(norm, position) for position in range(1, 5))]
        weight = state[0]
        stored = all(at is None or at in net.state for at in state)
        if stored and weight is not None and net.sole_user(weight) is not None:
            found[i] = norm
    return found


def _cost(node: Node) -> float:
    """Multiply-adds of a layer; of other operations next to nothing."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (tuple, list)) and value else value
    if not isinstance(value, Tensor):
        return 0.0
    entry = OPERATIONS.get(operation(node))
    if entry is None or entry.kind not in ("layer", "product") or entry.weight < 0:
        return float(value.numel()) * 1e-3
    weight = node.args[entry.weight]
    shape = weight.meta["val"].shape if isinstance(weight, Node) else ()
    return float(value.numel()) * math.prod(shape) / max(1, shape[0] if shape else 1)
