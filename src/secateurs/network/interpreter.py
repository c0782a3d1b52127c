"""Run an exported network, whole or in part: with other weights, from cached values, dropping what is no longer read.

One `Interpreter` runs operations; `Front` keeps it at one place on many chunks of samples and moves on,
`IncrementalRunner` starts again and again from values that were cached, with a few weights changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from secateurs.network.exported import ExportedNetwork, Values

GIB = 2**30
Instead = Mapping[int, Callable[[Values], Any]]


class Interpreter:
    """The one place where operations of an exported network are run.

    Args:
        net: The network.
        only: Run nothing but what these values depend on; everything by default.

    Attributes:
        ops: The operations, in order.
        last: Where each value is read last. Those that `only` names are kept to the end.
    """

    def __init__(self, net: ExportedNetwork, only: Collection[int] | None = None) -> None:
        self.net = net
        every = range(len(net.nodes)) if only is None else self.needed(only, ())
        self.ops = [i for i in every if net.nodes[i].op == "call_function"]
        self.last = {i: i for i in range(len(net.nodes))}
        for i in self.ops if only is not None else range(len(net.nodes)):
            self.last.update((net.index[node], i) for node in net.nodes[i].all_input_nodes)
        self.last.update((i, len(net.nodes)) for i in only or ())

    def needed(self, wanted: Iterable[int], known: Collection[int]) -> list[int]:
        """The operations that values depend on, those that are known apart, in order."""
        seen, stack = set(known), list(wanted)
        found = []
        while stack:
            i = stack.pop()
            if i not in seen and not self.net.known(i):
                seen.add(i)
                found.append(i)
                stack.extend(self.net.index[n] for n in self.net.nodes[i].all_input_nodes)
        return sorted(found)

    def run(
        self,
        values: Values,
        ops: Iterable[int],
        *,
        instead: Instead | None = None,
        keep: Collection[int] = (),
        before: Callable[[int, Values], None] | None = None,
    ) -> None:
        """Run some operations in order on `values`, in place, and drop what no later one reads.

        Args:
            values: What is known, by node; weights here take the place of the network's own.
            ops: Operations. Values that are there already are not computed again.
            instead: How to compute some of them in another way.
            keep: Nodes whose values are not dropped.
            before: Told of every operation, and of the values alive, before it runs.
        """
        for i in ops:
            if before is not None:
                before(i, values)
            if i not in values:
                values[i] = self._made(i, values, instead)
            for node in (*self.net.nodes[i].all_input_nodes, self.net.nodes[i]):
                read = self.net.index[node]
                if self.last[read] <= i and read not in keep and not self.net.known(read):
                    values.pop(read, None)

    def _made(self, index: int, values: Values, instead: Instead | None) -> Any:
        made = instead.get(index) if instead is not None else None
        return self.net.value(index, values) if made is None else made(values)

    def several(
        self, wanted: Sequence[int], values: Mapping[int, Any], instead: Instead | None = None
    ) -> Values:
        """The values of some nodes from others, computing what is missing on the way and nothing else."""
        local = dict(values)
        for i in self.needed(wanted, local):
            local[i] = self._made(i, local, instead)
        return {i: self.net.read(i, local) for i in wanted}

    def pull(self, index: int, values: Mapping[int, Any]) -> Any:
        """The value of one node from others, computing what is missing on the way and nothing else."""
        return self.several([index], values)[index]

    def pin(self, index: int, until: int) -> None:
        """Keep the value of a node until another has run."""
        self.last[index] = max(self.last[index], until)

    def alive(self, at: int) -> list[int]:
        """Nodes whose values are there before an operation, state apart: those that it or a later one reads."""
        made = (*self.net.inputs, *self.ops)
        return [i for i in made if i < at <= self.last[i]]

    def size(self, index: int) -> float:
        """Bytes of a value."""
        leaves = pytree.tree_leaves(self.net.nodes[index].meta.get("val"))
        return float(sum(v.numel() * v.element_size() for v in leaves if isinstance(v, Tensor)))


class Front:
    """One network run as far as asked, on all chunks that fit, with the values that are still needed.

    Values of the first layers are large and those of the last small, so chunks wait until there is room for them.
    """

    def __init__(self, net: ExportedNetwork, chunks: Sequence[Sequence[Tensor]]) -> None:
        self.net, self.interpreter, self.at = net, Interpreter(net), 0
        self.chunks: list[Values] = []
        self._waiting = [dict(zip(net.inputs, c, strict=True)) for c in reversed(chunks)]

    def widest(self, start: int = 0) -> int:
        """Bytes of all values of one chunk that are alive at the same time, at most, from a node on."""
        change = [0.0] * (len(self.net.nodes) + 1)
        for i, node in enumerate(self.net.nodes):
            if isinstance(node.meta.get("val"), Tensor) and not self.net.known(i):
                change[i] += self.interpreter.size(i)
                change[min(self.interpreter.last[i] + 1, len(self.net.nodes))] -= self.interpreter.size(i)
        return int(max(list(itertools.accumulate(change))[start:], default=0))

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
        self.interpreter.run(values, (i for i in self.interpreter.ops if start <= i < index))
        for i in [i for i in values if self.interpreter.last[i] < index]:
            del values[i]


def affordable(memory: float, each: int) -> int:
    """How many chunks of so many bytes fit in so many GiB.

    Example:
        >>> affordable(1.0, 2**28)
        4
    """
    return int(min(memory * GIB / max(1, each), 1e9))
