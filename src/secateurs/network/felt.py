r"""What the outputs feel of small changes inside a network: all changes at once, by one pass back through it.

For a change d of what a layer gives, the outputs move by $J d$ to first order, J their Jacobian in that layer's output.
$E\lVert J d \rVert^2 = E\langle J^T v, d\rangle^2$ for random signs v, and one pass back makes $J^T v$ at every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from secateurs.network.exported import Values
from secateurs.network.interpreter import Interpreter

Change = Mapping[int, Tensor]
"""What is added to the weights of some layers, by the node of the layer."""


class Undifferentiable(RuntimeError):
    """The outputs have no derivative: the network detaches them, or they are whole numbers."""


@dataclass(frozen=True, eq=False)
class Felt:
    """Squared first-order moves of the outputs for every change, sample by sample, as far as they are known.

    Attributes:
        moves: By the name of a family of changes, shape (samples, changes).
        outputs: What the network gave, shape (samples, ...).
    """

    moves: Mapping[str, Tensor]
    outputs: Tensor

    def mean(self, name: str) -> list[float]:
        """E||J d||^2 of every change of a family."""
        return [float(value) for value in self.moves[name].mean(0)]

    def doubt(self) -> float:
        """Standard error of these means relative to them, in the median over all that are not 0.

        Example:
            >>> Felt({"a": torch.tensor([[1.0], [3.0]])}, torch.zeros(2, 1)).doubt()
            0.5
        """
        if len(self.outputs) < 2:
            return math.inf
        every = torch.cat(list(self.moves.values()), 1)
        mean, error = every.mean(0), every.std(0) / math.sqrt(len(every))
        return float((error / mean)[mean > 0].median()) if bool((mean > 0).any()) else 0.0


@dataclass(frozen=True, eq=False)
class Feeler:
    r"""Measures $E\lVert J d \rVert^2$ for families of changes to the weights of layers that are linear in them.

    Args:
        run: Of the original.
        out: The node of the outputs.
        changes: Families of changes by name. A change of several layers moves the outputs by the sum of what each does.
        seen: What of the outputs counts, linear; all by default.
    """

    run: Interpreter
    out: int
    changes: Mapping[str, Sequence[Change]]
    seen: Callable[[Tensor], Tensor] = field(default=lambda y: y)

    def felt(self, chunk: Sequence[Tensor], signs: Tensor) -> Felt:
        r"""The squares $\langle J^T v, d\rangle^2$ of one chunk for given v of the shape of the outputs.

        Over rows v of a matrix of signs whose columns are orthogonal their mean is $\lVert J d \rVert^2$ exactly.

        Raises:
            Undifferentiable: The outputs have no derivative.

        Cost:
            One pass forth and one back, and for every change the layers that it changes once more; memory for what
            layers read.
        """
        count = len(signs)
        moves = {
            name: torch.zeros(count, len(several), dtype=torch.float64, device=signs.device)
            for name, several in self.changes.items()
        }
        with torch.enable_grad():
            outputs = self._forth(dict(zip(self.run.net.inputs, chunk, strict=True)), moves)
            if not outputs.requires_grad:
                raise Undifferentiable
            (self.seen(outputs) * signs).sum().backward()  # type: ignore[no-untyped-call]
        return Felt({name: value.square() for name, value in moves.items()}, outputs.detach())

    def _forth(self, values: Values, moves: Mapping[str, Tensor]) -> Tensor:
        """The outputs, with a hook at every changed layer that waits for the gradient."""
        layers = {node for several in self.changes.values() for change in several for node in change}
        net = self.run.net
        for i in self.run.needed([self.out], values):
            made = net.value(i, values)
            if i in layers:
                made = made if made.requires_grad else made.detach().requires_grad_()
                source = net.given(i, 0)
                assert source is not None
                made.register_hook(partial(self._back, i, source, values[source].detach(), moves))
            values[i] = made
            for node in net.nodes[i].all_input_nodes:
                if self.run.last[net.index[node]] <= i:
                    values.pop(net.index[node], None)
        outputs: Tensor = values[self.out]
        return outputs

    @torch.no_grad()
    def _back(self, node: int, source: int, x: Tensor, moves: Mapping[str, Tensor], gradient: Tensor) -> None:
        """Add <J^T v, d> of the changes of one layer, sample by sample."""
        for name, several in self.changes.items():
            total = moves[name]
            for number, change in enumerate(several):
                if node in change:
                    moved = self._moved(node, source, x, change[node])
                    total[:, number] += (gradient * moved).reshape(len(total), -1).sum(1, dtype=torch.float64)

    def _moved(self, node: int, source: int, x: Tensor, change: Tensor) -> Tensor:
        """What a layer gives more, from the change of its weight."""
        net = self.run.net
        weight, bias = net.given(node, 1), net.given(node, 2)
        assert weight is not None
        given: dict[int, Any] = {source: x, weight: change}
        if bias is not None:
            given[bias] = torch.zeros_like(net.weights[bias])
        moved: Tensor = net.value(node, given)
        return moved


def until_known(feel: Feeler, chunks: Sequence[Sequence[Tensor]], *, doubt: float, seed: int) -> Felt:
    """Look at chunk after chunk, until the moves are known to a relative standard error of `doubt` (in the median).

    Args:
        feel: The changes.
        chunks: Inputs in chunks; the last ends the look in any case.
        doubt: 0 looks at all of them.
        seed: Of the signs.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: list[Felt] = []
    for chunk in chunks:
        like = feel.run.net.nodes[feel.out].meta["val"]
        signs = torch.randint(0, 2, like.shape, generator=generator).to(chunk[0].device, like.dtype) * 2 - 1
        parts.append(feel.felt(chunk, signs))
        found = _joined(parts)
        if found.doubt() <= doubt:
            break
    return found


def _joined(parts: Sequence[Felt]) -> Felt:
    names = parts[0].moves
    moves = {name: torch.cat([part.moves[name] for part in parts]) for name in names}
    return Felt(moves, torch.cat([part.outputs for part in parts]))
