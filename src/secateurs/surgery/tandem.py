"""Two networks of the same code, run side by side, operation by operation: an original and its smaller self.

Repairs compare values deep inside the two. Both are captured by torch.export on chunks of the calibration
samples; values that are still needed are kept for all chunks (the frontier), so that every operation runs
about once, whatever the number of layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from secateurs.errors import InputError
from secateurs.surgery.cut import named_tensors
from secateurs.surgery.quiet import quiet

NORM = "_native_batch_norm_legit_no_training"
GIB = 2**30
Values = dict[int, Any]


def operation(node: Node) -> str:
    """The ATen name of a node without overload: "conv2d", "add", ..., "" for what is no ATen operation.

    Example:
        >>> graph = torch.fx.Graph()
        >>> operation(graph.placeholder("x"))
        ''
    """
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[-1] if node.op == "call_function" and schema is not None else ""


class Captured:
    """One network as a flat list of functional operations on chunks of one size."""

    def __init__(self, model: nn.Module, chunk: Sequence[Tensor]) -> None:
        self.model = model
        try:
            with quiet(), torch.no_grad():
                program = torch.export.export(model, tuple(chunk), strict=False).run_decompositions({})
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"model: torch.export cannot capture it on a batch of {len(chunk[0])} ({first[:120]}), so it cannot "
                "be followed layer by layer; use a repair such as 'merge' and an allocation such as 'uniform'."
            ) from error
        signature = program.graph_signature
        state = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        constants = signature.inputs_to_lifted_tensor_constants
        self.nodes: list[Node] = list(program.graph.nodes)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        returned = [node for node in self.nodes if node.op == "output"]
        self.outputs = [n for n in returned[0].all_input_nodes if isinstance(n.meta.get("val"), Tensor)]
        self.state: dict[int, str] = {}
        self.fixed: Values = {}
        self.inputs: list[int] = []
        for i, node in enumerate(self.nodes):
            if node.op == "placeholder":
                if node.name in state:
                    self.state[i] = state[node.name]
                elif node.name in constants:
                    self.fixed[i] = program.constants[constants[node.name]]
                else:
                    self.inputs.append(i)
            elif node.op == "get_attr":
                self.fixed[i] = getattr(program.graph_module, str(node.target))
        self.refresh()

    def refresh(self) -> None:
        """Look the parameters up again, after some have been replaced."""
        tensors = dict(named_tensors(self.model))
        self.weights: Values = {i: tensors[name].detach() for i, name in self.state.items()}

    def run(self, index: int, values: Mapping[int, Any]) -> Any:
        """The value of one node from those it reads."""
        node = self.nodes[index]

        def read(other: Node) -> Any:
            i = self.index[other]
            return values[i] if i in values else self.weights[i] if i in self.weights else self.fixed[i]

        args = torch.fx.node.map_arg(node.args, read)
        if operation(node) == NORM:
            return (_affine(args),)
        return node.target(*args, **torch.fx.node.map_arg(node.kwargs, read))  # type: ignore[operator]

    def known(self, index: int) -> bool:
        """Whether a node is a parameter, buffer or constant."""
        return index in self.weights or index in self.fixed

    def pull(self, index: int, values: Mapping[int, Any]) -> Any:
        """The value of a node, computing what is missing among `values` on the way, and nothing else."""
        return self.several([index], values)[index]

    def several(self, indices: Sequence[int], values: Mapping[int, Any]) -> Values:
        """The values of some nodes, computing what is missing among `values` on the way, and nothing else."""
        wanted: list[int] = []
        seen, stack = set(values), list(indices)
        while stack:
            i = stack.pop()
            if i in seen or self.known(i):
                continue
            seen.add(i)
            wanted.append(i)
            stack.extend(self.index[n] for n in self.nodes[i].all_input_nodes)
        local = dict(values)
        for i in sorted(wanted):
            local[i] = self.run(i, local)
        return {i: local[i] if i in local else self.weights[i] for i in indices}


def _affine(args: Sequence[Any]) -> Tensor:
    """Batch norm in evaluation, as the affine map it is (which can be differentiated twice)."""
    x, gamma, beta, mean, var, _, eps = args
    scale, shift = norm_affine(gamma, beta, mean, var, float(eps))
    shape = (1, -1, *(1 for _ in range(x.dim() - 2)))
    result: Tensor = x * scale.reshape(shape) + shift.reshape(shape)
    return result


def norm_affine(
    gamma: Tensor | None, beta: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch norm in evaluation: y = scale x + shift, each of shape (n,).

    Example:
        >>> norm_affine(None, None, torch.tensor([2.0]), torch.tensor([4.0]), 0.0)
        (tensor([0.5000]), tensor([-1.]))
    """
    scale = torch.rsqrt(var + eps) * (1.0 if gamma is None else gamma)
    return scale, (0.0 if beta is None else beta) - mean * scale


class Frontier:
    """One network run as far as asked, on all chunks that fit, with the values that are still needed.

    Values of the first layers are large and those of the last small, so chunks wait until there is room for them.
    """

    def __init__(self, net: Captured, chunks: Sequence[Sequence[Tensor]]) -> None:
        self.net, self.at = net, 0
        self.chunks: list[Values] = []
        self._waiting = [dict(zip(net.inputs, c, strict=True)) for c in reversed(chunks)]
        self._last = [max([net.index[u] for u in node.users], default=i) for i, node in enumerate(net.nodes)]

    def pin(self, index: int, until: int) -> None:
        """Keep the value of a node until the frontier has passed another."""
        self._last[index] = max(self._last[index], until)

    def widest(self, start: int = 0) -> int:
        """Bytes of all values of one chunk that are alive at the same time, at most, from a node on."""
        change = [0] * (len(self.net.nodes) + 1)
        for i, node in enumerate(self.net.nodes):
            value = node.meta.get("val")
            if isinstance(value, Tensor) and not self.net.known(i):
                size = value.numel() * value.element_size()
                change[i] += size
                change[self._last[i] + 1 if self._last[i] + 1 < len(change) else -1] -= size
        alive = list(itertools.accumulate(change))
        return max(alive[start:], default=0)

    def admit(self, several: int) -> None:
        """Bring waiting chunks to where the others are, until there are so many."""
        while self._waiting and len(self.chunks) < several:
            values = self._waiting.pop()
            self._run(values, 0, self.at)
            self.chunks.append(values)

    def advance(self, index: int) -> None:
        """Run up to a node (exclusive) on every chunk; values no longer needed are dropped."""
        for values in self.chunks:
            self._run(values, self.at, index)
        self.at = max(self.at, index)

    @torch.no_grad()
    def _run(self, values: Values, start: int, index: int) -> None:
        for i in (i for i in range(start, index) if self.net.nodes[i].op == "call_function"):
            if i not in values:
                values[i] = self.net.run(i, values)
            for node in self.net.nodes[i].all_input_nodes:
                read = self.net.index[node]
                if self._last[read] <= i:
                    values.pop(read, None)
        for i in [i for i in values if self._last[i] < index]:
            del values[i]


def affordable(memory: float, each: int) -> int:
    """How many chunks of so many bytes fit in so many GiB.

    Example:
        >>> affordable(1.0, 2**28)
        4
    """
    return int(min(memory * GIB / max(1, each), 1e9))


class Tandem:
    """An original and its smaller self, both run as far as the repair has come, on all chunks that fit."""

    def __init__(
        self,
        model: nn.Module,
        small: nn.Module,
        chunks: Sequence[Sequence[Tensor]],
        memory: float = 6.0,
    ) -> None:
        self.full, self.small = Captured(model, chunks[0]), Captured(small, chunks[0])
        self.plain = False  # whether inputs must lie in memory channel after channel
        if (
            not self._alike()
        ):  # a tensor of one channel may lie in memory another way, and take other operations
            chunks = [[x.contiguous() for x in chunk] for chunk in chunks]
            self.plain = True
            self.full, self.small = Captured(model, chunks[0]), Captured(small, chunks[0])
        if not self._alike():
            raise InputError(
                "the smaller network does not run the same operations as the original, so that they cannot be "
                "compared layer by layer; use the one-shot repair."
            )
        self._fronts = Frontier(self.full, chunks), Frontier(self.small, chunks)
        self.memory = memory
        self.samples_each = len(chunks[0][0])
        self.given = len(chunks) * self.samples_each
        self.chunks: list[tuple[Values, Values]] = []
        self.fewest = self.given
        self._admit(1)

    @property
    def samples(self) -> int:
        """How many samples the networks run on by now."""
        return len(self.chunks) * self.samples_each

    def _alike(self) -> bool:
        return [operation(n) for n in self.full.nodes] == [operation(n) for n in self.small.nodes]

    def _admit(self, several: int) -> None:
        for front in self._fronts:
            front.admit(several)
        self.chunks = list(zip(*(front.chunks for front in self._fronts), strict=True))

    def pin(self, index: int, until: int) -> None:
        """Keep the value of a node, in both networks, until the frontier has passed another."""
        for front in self._fronts:
            front.pin(index, until)

    def advance(self, index: int) -> None:
        """Run both networks up to a node (exclusive) on as many chunks as fit in memory from there on."""
        for front in self._fronts:
            if index > front.at:
                front.advance(index)
        self._admit(max(1, affordable(self.memory, sum(front.widest(front.at) for front in self._fronts))))
        self.fewest = min(self.fewest, self.samples)
