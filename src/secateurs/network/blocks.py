"""Blocks: a layer, the batch norm behind it, the sum with a shortcut, the activation.

A refit of a layer has to reproduce what the original has after the sum, so that errors of the shortcut are corrected
too; and what reaches the next layer has passed the activation.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from secateurs.layers.batch_norm import norm_affine
from secateurs.layers.linear_map import linear_map
from secateurs.network.exported import ExportedNetwork, is_batch_norm, operation
from secateurs.network.operations import OPERATIONS, Kind, kind_of

_PASSED: tuple[Kind, ...] = ("activation", "pooling", "movement", "identity", "conversion", "dropout")


@dataclass(frozen=True)
class Layer:
    """One layer of an exported network: its node, its name, and the node of the batch norm that alone reads it."""

    node: int
    name: str
    batch_norm: int | None


@dataclass(frozen=True)
class Block:
    """A layer that can be refitted, and where its output goes.

    Attributes:
        layer: The layer, with its batch norm.
        total: The node of the sum; of the batch norm, or the layer itself, where there is none.
        residual: The other term of that sum.
        end: The node of the activation after it, or `total`.
        rectified: Whether that activation is a ReLU.
        producers: The layers that make the input, nearest first, where nothing else reads it.
    """

    layer: Layer
    total: int
    residual: int | None
    end: int
    rectified: bool
    producers: tuple[Layer, ...] = ()

    def first(self) -> int:
        """The earliest node that a repair of this block looks at."""
        return self.producers[-1].node if self.producers else self.layer.node


def batch_norm_after(net: ExportedNetwork, index: int) -> int | None:
    """The batch norm that alone reads a value, or None."""
    user = net.sole_user(index)
    is_norm = user is not None and is_batch_norm(net.nodes[user]) and net.given(user, 0) == index
    return user if is_norm else None


def layers(net: ExportedNetwork) -> list[Layer]:
    """All layers that are called once and linear in their input, depthwise ones included, in order."""
    return [_layer(net, i, name) for i, name in _Calls(net).once.items()]


def blocks(net: ExportedNetwork) -> list[Block]:
    """All blocks whose layer can be refitted, in the order of the forward pass.

    Left out are layers called several times, layers whose weights are computed (weight norm), and depthwise
    ones, which read one channel each.
    """
    calls = _Calls(net)
    return [_block(net, i, calls) for i, name in calls.once.items() if not calls.depthwise(name)]


def norm_of(net: ExportedNetwork, layer: Layer) -> tuple[Tensor, Tensor] | None:
    """Scale and shift of the batch norm after a layer, or None."""
    if layer.batch_norm is None:
        return None
    places = [net.given(layer.batch_norm, position) for position in range(1, 5)]
    gamma, beta, mean, var = (None if at is None else net.weights[at] for at in places)
    assert mean is not None
    assert var is not None
    return norm_affine(gamma, beta, mean, var, float(net.nodes[layer.batch_norm].args[7]))  # type: ignore[arg-type]


def running(net: ExportedNetwork, index: int) -> tuple[Tensor, Tensor]:
    """Running mean and variance of the batch norm at a node."""
    mean, var = net.given(index, 3), net.given(index, 4)
    assert mean is not None
    assert var is not None
    return net.weights[mean], net.weights[var]


def norm_name(net: ExportedNetwork, layer: Layer) -> str | None:
    """The name of the batch norm after a layer, or None."""
    mean = None if layer.batch_norm is None else net.given(layer.batch_norm, 3)
    return None if mean is None else net.state[mean].rpartition(".")[0]


def norm_module(net: ExportedNetwork, layer: Layer) -> nn.Module | None:
    """The batch-norm module after a layer, or None."""
    name = norm_name(net, layer)
    return None if name is None else net.model.get_submodule(name)


def weights_of(net: ExportedNetwork, layer: Layer) -> tuple[int, int | None]:
    """Nodes of a layer's weight, and of its bias or, where a batch norm follows, of that one's shift."""
    weight = net.given(layer.node, 1)
    assert weight is not None
    return weight, net.given(layer.node if layer.batch_norm is None else layer.batch_norm, 2)


class _Calls:
    """The layers of a network that are called once and linear in their input, by node."""

    def __init__(self, net: ExportedNetwork) -> None:
        modules = dict(net.model.named_modules())
        every = {i: _name(net, i) for i in range(len(net.nodes)) if _kind(net, i) == "layer"}
        names = list(every.values())
        found = {i: name for i, name in every.items() if name in modules and names.count(name) == 1}
        forms = {name: linear_map(modules[name]) for name in found.values()}
        self.forms = {name: form for name, form in forms.items() if form is not None}
        self.once = {i: name for i, name in found.items() if name in self.forms}

    def depthwise(self, name: str) -> bool:
        """Whether a layer reads one channel for each that it makes."""
        form = self.forms[name]
        return form.groups > 1 and form.inputs == 1


def _block(net: ExportedNetwork, index: int, calls: _Calls) -> Block:
    layer = _layer(net, index, calls.once[index])
    at = layer.node if layer.batch_norm is None else layer.batch_norm
    residual = None
    add = net.sole_user(at)
    if add is not None and operation(net.nodes[add]) == "add" and not net.nodes[add].kwargs:
        terms = net.given(add, 0), net.given(add, 1)
        rest = terms[1] if terms[0] == at else terms[0]
        if None not in terms and rest is not None and rest != at and _shape(net, rest) == _shape(net, at):
            residual, at = rest, add
    end = at
    after = net.sole_user(_skipped(net, at))
    if after is not None and _kind(net, after) == "activation":
        end = after
    rectified = end != at and operation(net.nodes[end]) == "relu"
    return Block(layer, at, residual, end, rectified, _producers(net, index, calls))


def _layer(net: ExportedNetwork, index: int, name: str) -> Layer:
    return Layer(index, name, batch_norm_after(net, index))


def _producers(net: ExportedNetwork, index: int, calls: _Calls) -> tuple[Layer, ...]:
    """The layers before, back through activations, pools and depthwise layers, as long as nothing else reads them."""
    found: list[Layer] = []
    at = net.given(index, 0)
    while at is not None and len(net.nodes[at].users) == 1:
        if _kind(net, at) == "layer":
            name = calls.once.get(at)
            if name is None:
                break
            found.append(_layer(net, at, name))
            if not calls.depthwise(name):
                return tuple(found)
        elif not _passed(net, at):
            break
        at = net.given(at, 0)
    return ()


def _passed(net: ExportedNetwork, index: int) -> bool:
    """Whether an operation makes its result of one value that changes, each number of a few near ones."""
    node = net.nodes[index]
    read = [net.index[n] for n in node.all_input_nodes if not net.known(net.index[n])]
    entry = OPERATIONS.get(operation(node))
    known = "getitem" in str(node.target) or is_batch_norm(node)
    known = known or (entry is not None and (entry.kind in _PASSED or entry.noun == "mean"))
    return known and len(read) == 1


def _skipped(net: ExportedNetwork, index: int) -> int:
    """Past operations that do nothing in evaluation."""
    user = net.sole_user(index)
    while user is not None and _kind(net, user) in ("identity", "dropout"):
        index, user = user, net.sole_user(user)
    return index


def _kind(net: ExportedNetwork, index: int) -> Kind | None:
    return kind_of(operation(net.nodes[index]))


def _name(net: ExportedNetwork, index: int) -> str:
    weight = net.given(index, 1)
    name = "" if weight is None else net.state.get(weight, "")
    return name.removesuffix(".weight") if name.endswith(".weight") else ""


def _shape(net: ExportedNetwork, index: int) -> tuple[int, ...]:
    value = net.nodes[index].meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else ()
