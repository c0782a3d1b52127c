"""The capture of a narrower network from that of the original: the same operations with other tensors.

A capture takes torch.export many times as long as the operations take. A network from which channels were removed runs
the same code on smaller tensors, so that its capture differs in the shapes, in the groups of depthwise convolutions
and in nothing else, unless an operation was told a size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node
from torch.fx.node import map_arg

from secateurs.layers.tensors import named_tensors
from secateurs.network.exported import ExportedNetwork, Values, is_batch_norm, operation
from secateurs.network.interpreter import Interpreter
from secateurs.network.operations import OPERATIONS, Kind
from secateurs.network.shapes import Quick
from secateurs.running.examples import outputs

_ANY_WIDTH: tuple[Kind, ...] = ("product", "activation", "arithmetic", "pooling", "identity", "conversion")
_FEW = 4  # samples on which the two are compared
_MISFITS = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


def narrower(full: ExportedNetwork, small: nn.Module, chunk: Sequence[Tensor]) -> ExportedNetwork:
    """Make the capture of `small` on `chunk` from that of the original it was cut from, or, where in doubt, by export.

    There is no doubt where both are built of the same modules with the same tensors, no operation of the original is
    told what may be a size, and a few samples give what `small` itself gives, bit for bit.

    Raises:
        InputError: torch.export cannot capture it.

    Example:
        >>> net, less = nn.Linear(2, 3).eval(), nn.Linear(2, 1).eval()
        >>> made = narrower(ExportedNetwork(net, [torch.ones(2, 2)]), less, [torch.ones(2, 2)])
        >>> made.nodes[made.outputs[0]].meta["val"].shape
        torch.Size([2, 1])
    """
    return rebuilt(full, small, chunk) or ExportedNetwork(small, chunk)


@torch.no_grad()
def rebuilt(full: ExportedNetwork, small: nn.Module, chunk: Sequence[Tensor]) -> ExportedNetwork | None:
    """The capture of `small` made from that of the original; None where that is not certain."""
    called = [node for node in full.nodes if node.op == "call_function"]
    if not _of_one_make(full.model, small) or full.fixed or full.writes:
        return None
    if not all(map(_takes_any_width, called)):
        return None
    graph = Graph()
    graph.output(graph.graph_copy(full.nodes[0].graph, {}))
    made = full.instead(small, graph)
    try:
        _tell_shapes_(made, chunk)
        return made if _gives_the_same(made, [x[:_FEW] for x in chunk]) else None
    except _MISFITS:
        return None


def _of_one_make(model: nn.Module, small: nn.Module) -> bool:
    """Whether two networks have modules of the same types by the same names, and tensors that are shared alike."""
    return _parts(model) == _parts(small) and _names(model) == _names(small)


def _parts(model: nn.Module) -> list[tuple[str, type, bool]]:
    return [(name, type(m), m.training) for name, m in model.named_modules(remove_duplicate=False)]


def _names(model: nn.Module) -> dict[str, tuple[str, torch.dtype]]:
    """The first name and the type of every tensor by its name."""
    first: dict[int, str] = {}
    return {name: (first.setdefault(id(t), name), t.dtype) for name, t in named_tensors(model)}


def _takes_any_width(node: Node) -> bool:
    """Whether an operation means the same for fewer channels: none of its numbers is one of theirs.

    A pad of channels may be: too much of it gives a wrong shape, and at the wrong side it shifts all channels.
    """
    entry = OPERATIONS.get(operation(node))
    if entry is None:
        return False
    if entry.passes == "transposed convolution":  # whose groups cannot be told from the shapes
        return _groups(node) in (None, 1)
    if entry.kind == "dropout":
        return node.args[2:3] == (False,)
    if torch.Tag.nondeterministic_seeded in node.target.tags:  # type: ignore[union-attr]
        return False
    if entry.passes == "slice":  # of space
        return isinstance(node.args[1], int) and node.args[1] > 1
    return entry.any_width or entry.kind in _ANY_WIDTH or entry.passes in ("batch norm", "reduce", "along")


def _groups(node: Node) -> Any:
    """What a convolution is told of groups; None where it is told nothing."""
    at = _groups_at(node)
    return node.kwargs.get("groups", node.args[at] if at < len(node.args) else None)


def _groups_at(node: Node) -> int:
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
    return names.index("groups")


def _tell_shapes_(net: ExportedNetwork, chunk: Sequence[Tensor]) -> None:
    """Write the groups of depthwise convolutions anew, and note the shape of every value."""
    values: Values = {i: x.to("meta") for i, x in zip(net.inputs, chunk, strict=True)}
    values |= {i: weight.to("meta") for i, weight in net.weights.items()}
    with Quick():  # type: ignore[no-untyped-call]
        for i, node in enumerate(net.nodes):
            if node.op == "call_function":
                if OPERATIONS[operation(node)].passes == "convolution" and _groups(node) not in (None, 1):
                    x, weight = (values[net.index[n]] for n in node.all_input_nodes[:2])
                    node.update_arg(_groups_at(node), x.shape[1] // weight.shape[1])
                values[i] = _made(net, i, values)
            if i in values:
                node.meta["val"] = values[i]


def _made(net: ExportedNetwork, index: int, values: Mapping[int, Any]) -> Any:
    """What an operation itself gives, batch norms too."""
    node = net.nodes[index]

    def read(other: Node) -> Any:
        return net.read(net.index[other], values)

    return node.target(*map_arg(node.args, read), **map_arg(node.kwargs, read))  # type: ignore[operator]


def _gives_the_same(net: ExportedNetwork, given: Sequence[Tensor]) -> bool:
    """Whether the operations give what the modules give, bit for bit."""
    runner, values = Interpreter(net), dict(zip(net.inputs, given, strict=True))
    norms = {i: partial(_made, net, i) for i in runner.ops if is_batch_norm(net.nodes[i])}
    runner.run(values, runner.ops, instead=norms)
    wanted, found = outputs(net.model, tuple(given), {}), [values[i] for i in net.outputs]
    return len(wanted) == len(found) and all(map(torch.equal, wanted, found))
