r"""What the outputs feel of small changes inside a network: all changes at once, by one pass back through it.

For a change d of what a layer gives, the outputs move by $J d$ to first order, J their Jacobian in that layer's output.
$E\lVert J d \rVert^2 = E\langle J^T v, d\rangle^2$ for random signs v, and one pass back makes $J^T v$ at every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from secateurs.layers.linear_map import linear_map, output_rows, positions, rows, to_matrix
from secateurs.network.blocks import layers
from secateurs.network.exported import Values
from secateurs.network.interpreter import Interpreter

_VALUES = 3e7  # that rows and gradients of weights may take at once, unless one sample takes more

_Back: TypeAlias = Callable[[int, Tensor, Tensor], None]
"""Told of a layer's node, its input and the gradient of its output."""

Change = Mapping[int, Tensor]
"""What is added to the weights of some layers, by the node of the layer."""


class Undifferentiable(RuntimeError):
    """What outputs feel cannot be asked: they have no derivative, or layers hold samples elsewhere than first."""


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
            One pass forth and one back, and the gradient of every weight that changes, sample by sample; memory for
            what layers read.
        """
        count = len(signs)
        moves = {
            name: torch.zeros(count, len(several), dtype=torch.float64, device=signs.device)
            for name, several in self.changes.items()
        }
        outputs = self._through(chunk, signs, partial(self._back, moves))
        return Felt({name: value.square() for name, value in moves.items()}, outputs)

    def samples_first(self, chunk: Sequence[Tensor], signs: Tensor) -> bool:
        """Whether every layer that changes holds sample after sample on its first axis, by what the first one feels.

        Parts of a sample may follow each other there, as frames of a clip do that are read one by one.

        Raises:
            Undifferentiable: The outputs have no derivative.

        Cost:
            One pass forth and one back.
        """
        others: list[bool] = []

        def see(_: int, x: Tensor, gradient: Tensor) -> None:
            each, rest = divmod(len(x), len(signs))
            others.append(rest > 0 or len(gradient) != len(x) or bool(gradient[each:].any()))

        only = torch.zeros_like(signs)
        only[0] = signs[0]
        self._through(chunk, only, see)
        return not any(others)

    def _through(self, chunk: Sequence[Tensor], signs: Tensor, back: _Back) -> Tensor:
        """One pass forth and one back for given v; the outputs."""
        with torch.enable_grad():
            outputs = self._forth(dict(zip(self.run.net.inputs, chunk, strict=True)), back)
            if not outputs.requires_grad:
                raise Undifferentiable
            (self.seen(outputs) * signs).sum().backward()  # type: ignore[no-untyped-call]
        return outputs.detach()

    @cached_property
    def modules(self) -> Mapping[int, nn.Module]:
        """The layers that change, by node."""
        known = {layer.node: layer.name for layer in layers(self.run.net)}
        nodes = {node for several in self.changes.values() for change in several for node in change}
        return {node: self.run.net.model.get_submodule(known[node]) for node in sorted(nodes)}

    def _forth(self, values: Values, back: _Back) -> Tensor:
        """The outputs, with a hook at every changed layer that waits for the gradient."""
        net = self.run.net
        for i in self.run.needed([self.out], values):
            made = net.value(i, values)
            if i in self.modules:
                made = made if made.requires_grad else made.detach().requires_grad_()
                source = net.given(i, 0)
                assert source is not None
                made.register_hook(partial(back, i, values[source].detach()))
            values[i] = made
            for node in net.nodes[i].all_input_nodes:
                if self.run.last[net.index[node]] <= i:
                    values.pop(net.index[node], None)
        outputs: Tensor = values[self.out]
        return outputs

    @torch.no_grad()
    def _back(self, moves: Mapping[str, Tensor], node: int, x: Tensor, gradient: Tensor) -> None:
        """Add <J^T v, d> of the changes of one layer, sample by sample."""
        layer = self.modules[node]
        found = [
            (name, k) for name, several in self.changes.items() for k, c in enumerate(several) if node in c
        ]
        changes = torch.stack([to_matrix(layer, self.changes[name][k][node]) for name, k in found])
        form = linear_map(layer)
        assert form is not None
        count = len(moves[found[0][0]])
        parts = len(x) // count  # of a sample, which the layer reads one by one
        values = parts * positions(layer, gradient) * form.groups * form.width + changes[0].numel()
        each = max(1, int(_VALUES / values))
        for start in range(0, count, each):
            stop = min(start + each, count)
            here = slice(parts * start, parts * stop)
            read, pull = rows(layer, x[here]), output_rows(layer, gradient[here])
            read, pull = (r.reshape(stop - start, -1, *r.shape[1:]) for r in (read, pull))
            moved = _products(read, pull, changes).double()
            for (name, k), column in zip(found, moved.T, strict=True):
                moves[name][start:stop, k] += column


def _products(read: Tensor, pull: Tensor, changes: Tensor) -> Tensor:
    r"""$\sum_p u_p^T C x_p$ for rows x (b, p, g, d), u (b, p, g, o) and changes C (k, g, o, d), shape (b, k).

    Example:
        >>> x, u, c = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
        >>> _products(x, u, c)
        tensor([[9.]])
    """
    if read.shape[1] >= len(changes):  # the gradient of the weight, sample by sample, serves all changes
        gradient = torch.einsum("bpgo,bpgd->bgod", pull, read)
        return gradient.flatten(1) @ changes.flatten(1).T
    every = [(torch.einsum("bpgd,god->bpgo", read, change) * pull).flatten(1).sum(1) for change in changes]
    return torch.stack(every, 1)


def until_known(feel: Feeler, chunks: Sequence[Sequence[Tensor]], *, doubt: float, seed: int) -> Felt:
    """Look at chunk after chunk, until the moves are known to a relative standard error of `doubt` (in the median).

    Args:
        feel: The changes.
        chunks: Inputs in chunks; the last ends the look in any case.
        doubt: 0 looks at all of them.
        seed: Of the signs.

    Raises:
        Undifferentiable: The outputs have no derivative, or a layer that changes does not hold sample after sample.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: list[Felt] = []
    for chunk in chunks:
        like = feel.run.net.nodes[feel.out].meta["val"]
        signs = torch.randint(0, 2, like.shape, generator=generator).to(chunk[0].device, like.dtype) * 2 - 1
        if not parts and not feel.samples_first(chunk, signs):
            raise Undifferentiable
        parts.append(feel.felt(chunk, signs))
        found = _joined(parts)
        if found.doubt() <= doubt:
            break
    return found


def _joined(parts: Sequence[Felt]) -> Felt:
    names = parts[0].moves
    moves = {name: torch.cat([part.moves[name] for part in parts]) for name in names}
    return Felt(moves, torch.cat([part.outputs for part in parts]))
