"""A network captured by torch.export on chunks of one size: a flat list of operations that change nothing in place.

Batch norms in evaluation are one operation here, `batch_norm`, whatever torch.export makes of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import OutputKind
from torch.fx import Graph, Node

from secateurs.errors import InputError
from secateurs.layers.batch_norm import affine
from secateurs.layers.tensors import named_tensors
from secateurs.network.operations import OPERATIONS, kind_of, plain_name
from secateurs.running.quiet import quiet
from secateurs.running.surroundings import Surroundings

Values = dict[int, Any]
_KNOWN = 4  # captures that are kept: an original and a result, on chunks of two sizes


def operation(node: Node) -> str:
    """The name of a node in the table of operations: "conv2d", "add", ..., "" for what is no such operation.

    Example:
        >>> graph = torch.fx.Graph()
        >>> operation(graph.placeholder("x"))
        ''
    """
    schema = getattr(node.target, "_schema", None)
    return plain_name(schema.name) if node.op == "call_function" and schema is not None else ""


class ExportedNetwork:
    """One network as a flat list of functional operations on chunks of one size.

    Args:
        model: Any network that torch.export captures, in evaluation mode.
        chunk: Its inputs, batch axis first.

    Attributes:
        nodes: Inputs, state and operations, in order; everything below speaks of them by their place here.
        state: Names of the parameters and buffers, by node.
        weights: Their values. `fixed` holds those of constants.
        inputs: The nodes of the inputs.
        outputs: Those of the tensors that come out.
        writes: Whether a pass changes inputs or buffers.

    Raises:
        InputError: torch.export cannot capture it.
    """

    def __init__(self, model: nn.Module, chunk: Sequence[Tensor]) -> None:
        self.model = model
        program = captured(model, chunk)
        self.nodes: list[Node] = list(program.graph.nodes)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        specs = program.graph_signature.output_specs
        self.writes = any(spec.kind is not OutputKind.USER_OUTPUT for spec in specs)
        self.outputs = [
            self.index[node]
            for node, spec in zip(_returned(self.nodes), specs, strict=True)
            if spec.kind is OutputKind.USER_OUTPUT  # others are inputs and buffers that the model writes into
            and isinstance(node, Node)
            and isinstance(node.meta.get("val"), Tensor)
        ]
        self.state: dict[int, str] = {}
        self.fixed: Values = {}
        self.inputs: list[int] = []
        self._sort(program)
        tensors = dict(named_tensors(model))
        self.weights: Values = {i: tensors[name].detach() for i, name in self.state.items()}

    def instead(self, model: nn.Module, graph: Graph) -> ExportedNetwork:
        """The same with the tensors of another model, and the nodes of another graph, which are as many."""
        made = copy.copy(self)
        tensors = dict(named_tensors(model))
        made.model, made.nodes = model, list(graph.nodes)
        made.index = {node: i for i, node in enumerate(made.nodes)}
        made.weights = {i: tensors[name].detach() for i, name in self.state.items()}
        return made

    def _sort(self, program: torch.export.ExportedProgram) -> None:
        """Tell inputs, state and constants apart."""
        signature = program.graph_signature
        state = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        constants = signature.inputs_to_lifted_tensor_constants
        for i, node in enumerate(self.nodes):
            if node.op == "get_attr":
                self.fixed[i] = getattr(program.graph_module, str(node.target))
            elif node.op == "placeholder" and node.name in state:
                self.state[i] = state[node.name]
            elif node.op == "placeholder" and node.name in constants:
                self.fixed[i] = program.constants[constants[node.name]]
            elif node.op == "placeholder":
                self.inputs.append(i)

    def known(self, index: int) -> bool:
        """Whether a node is a parameter, buffer or constant."""
        return index in self.weights or index in self.fixed

    def read(self, index: int, values: Mapping[int, Any]) -> Any:
        """What a node is among some values; of the network's own state where there is none."""
        if index in values:
            return values[index]
        return self.weights[index] if index in self.weights else self.fixed[index]

    def value(self, index: int, values: Mapping[int, Any]) -> Any:
        """The value of one node from those it reads; state is read where `values` has none of it."""
        node = self.nodes[index]

        def read(other: Node) -> Any:
            return self.read(self.index[other], values)

        args: Any = torch.fx.node.map_arg(node.args, read)
        if is_batch_norm(node):
            x, gamma, beta, mean, var = args[:5]
            return affine(x, gamma, beta, mean, var, float(args[7])).to(x.dtype)
        return node.target(*args, **torch.fx.node.map_arg(node.kwargs, read))  # type: ignore[operator]

    def given(self, index: int, position: int) -> int | None:
        """The node that is an argument of another, or None where that is no tensor."""
        args = self.nodes[index].args
        found = args[position] if position < len(args) else None
        return self.index[found] if isinstance(found, Node) else None

    def sole_user(self, index: int) -> int | None:
        """The one operation that reads a value, or None where there are several or none."""
        users = list(self.nodes[index].users)
        return self.index[users[0]] if len(users) == 1 else None

    def alike(self, other: ExportedNetwork) -> bool:
        """Whether both run the same operations in the same order."""
        return [operation(n) for n in self.nodes] == [operation(n) for n in other.nodes]


def _returned(nodes: Sequence[Node]) -> Sequence[Any]:
    """What the program returns, in order."""
    found: Any = next(node.args[0] for node in nodes if node.op == "output")
    return tuple(found)


Capture = Callable[[nn.Module, Sequence[Tensor]], ExportedNetwork]


class Exports:
    """Networks that have been captured, so that each is captured once for chunks of one form.

    Example:
        >>> net, x = nn.Linear(1, 1).eval(), torch.ones(2, 1)
        >>> known = Exports()
        >>> known.of(net, [x]) is known.of(net, [2 * x])
        True
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], ExportedNetwork] = {}

    def of(
        self, model: nn.Module, chunk: Sequence[Tensor], capture: Capture | None = None
    ) -> ExportedNetwork:
        """The capture of a network on chunks of this form, made by `capture` or anew; the last few are kept."""
        key = (id(model), *(_form(x) for x in chunk))
        found = self._known.pop(key, None) or (capture or ExportedNetwork)(model, chunk)
        self._known[key] = found
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        return found


def _form(x: Tensor) -> tuple[Any, ...]:
    """What a capture depends on: shape, type and place in memory, in which axes of length one lie anywhere."""
    strides = [stride for size, stride in zip(x.shape, x.stride(), strict=True) if size > 1]
    return (tuple(x.shape), *strides, x.dtype, x.device)


def captured(model: nn.Module, chunk: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """The program of a network, in which nothing is written in place.

    Raises:
        InputError: torch.export cannot capture it.
    """
    try:
        with quiet(), torch.no_grad(), Surroundings.of(model).kept():
            program = torch.export.export(model, tuple(chunk), strict=False)
            if not functional_(program.graph):
                program = program.run_decompositions({})
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"model: torch.export cannot capture it on a batch of {len(chunk[0])} ({first[:120]}), so it cannot "
            "be followed layer by layer; use a repair such as 'merge' and an allocation such as 'uniform'."
        ) from error
    _one_batch_norm_(program.graph)
    return program


def functional_(graph: Graph) -> bool:
    """Replace operations in place by those that return, where nobody else can see the difference.

    Taking operations apart, which does the same for every graph, takes five times as long as the capture.

    Returns:
        False where it is not certain that nobody can; the graph may have been changed in part then.
    """
    for node in list(graph.nodes):
        if node.op == "get_attr" or (node.op == "call_function" and not _is_sound_(node)):
            return False
    return True


def _is_sound_(node: Node) -> bool:
    """Whether an operation changes nothing, or could be replaced by one that does not."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return "getitem" in str(node.target)
    entry = OPERATIONS.get(plain_name(schema.name))
    if entry is not None and entry.passes in ("batch norm", "instance norm"):
        return is_batch_norm(node) or node.args[3] is None  # else running statistics may be written
    if not schema.is_mutable:
        return True
    twin = _functional(node.target)
    if twin is None or not _only_reader(node) or not _one_type(node):
        return False
    node.target = twin
    return True


def _one_type(node: Node) -> bool:
    """Whether all tensors that an operation takes are of one type: in place, the first one's holds; else the larger."""
    values = [n.meta.get("val") for n in node.all_input_nodes]
    return len({value.dtype for value in values if isinstance(value, torch.Tensor)}) <= 1


def _functional(target: Any) -> Any:
    """The operation that returns what this one writes into its first argument; None where there is none."""
    space, _, name = target._schema.name.partition("::")
    written = [a.alias_info is not None and a.alias_info.is_write for a in target._schema.arguments]
    if not name.endswith("_") or not written[0] or any(written[1:]):
        return None
    packet = getattr(getattr(torch.ops, space), name.removesuffix("_"), None)
    return getattr(packet, target._overloadname, None)


def _only_reader(node: Node) -> bool:
    """Whether an operation alone reads what it writes into, and what that may be a view of."""
    at = node.args[0] if node.args else None
    while isinstance(at, Node):
        if len(at.users) != 1 or at.op != "call_function":
            return False
        schema = getattr(at.target, "_schema", None)
        if schema is None:
            return False
        owns = kind_of(plain_name(schema.name)) in (
            "layer",
            "arithmetic",
            "activation",
            "pooling",
        ) or is_batch_norm(at)
        if owns and not schema.is_mutable and not any(r.alias_info for r in schema.returns):
            return True
        at = at.args[0] if at.args else None
    return False


def is_batch_norm(node: Node) -> bool:
    """Whether a node is a batch norm in evaluation: an affine map of each channel."""
    return operation(node) == "batch_norm" and node.args[5] is False and node.args[3] is not None


def _one_batch_norm_(graph: Graph) -> None:
    """Write batch norms in evaluation that were taken apart as the one operation they are."""
    for node in list(graph.nodes):
        if not operation(node).endswith("no_training"):
            continue
        users = list(node.users)
        if any(user.args[1] != 0 for user in users):
            continue
        x, gamma, beta, mean, var, momentum, eps = node.args
        with graph.inserting_before(node):
            args = (x, gamma, beta, mean, var, False, momentum, eps, False)
            whole = graph.call_function(torch.ops.aten.batch_norm.default, args)
        whole.meta["val"] = node.meta["val"][0]
        for user in users:
            user.replace_all_uses_with(whole)
            graph.erase_node(user)
        graph.erase_node(node)
