"""Where a layer's output goes: through a batch norm, into a sum, through an activation.

A repair of a layer has to reproduce what the original has after the sum, for then it makes good the errors of
the shortcut as well; and what reaches the next layer has passed the activation.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.fx import Node

from secateurs.surgery.reading import reading
from secateurs.surgery.tandem import NORM, Captured, norm_affine, operation

_LAYERS = ("conv1d", "conv2d", "conv3d", "linear", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_LAYERS_GENERAL = (*_LAYERS, "convolution")
_ACTIVATIONS = (
    "relu", "relu6", "hardtanh", "silu", "gelu", "hardswish", "leaky_relu", "elu", "selu", "celu", "mish",
    "softplus", "sigmoid", "tanh", "hardsigmoid",
)  # fmt: skip
_PASSAGES = (
    "constant_pad_nd", "pad", "reflection_pad2d", "replication_pad2d", "max_pool1d", "max_pool2d",
    "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "_adaptive_avg_pool2d", "mean", "upsample_nearest2d", "upsample_bilinear2d", "flatten", "view", "_unsafe_view",
    "reshape", "permute", "transpose", "pixel_shuffle",
)  # fmt: skip
_IDENTITIES = ("dropout", "feature_dropout", "clone", "contiguous", "alias", "detach")

_PASSED = (*_ACTIVATIONS, *_PASSAGES, *_IDENTITIES, NORM)


@dataclass(frozen=True)
class Layer:
    """One layer of a captured network: its node, and the batch norm that directly follows, if any."""

    node: int
    name: str
    norm: int | None


@dataclass(frozen=True)
class Link:
    """A layer to be refitted, and the way of its output.

    `pre` is the node of the sum (or of the batch norm, or the layer itself where there is none), `other` the
    other term of that sum, `end` the node of the activation after it (or `pre`). `makers` are the layers that
    make the input, nearest first, where nothing else reads it.
    """

    layer: Layer
    pre: int
    other: int | None
    end: int
    rectified: bool
    makers: tuple[Layer, ...] = ()

    def first(self) -> int:
        """The earliest node that the repair of this link looks at."""
        return self.makers[-1].node if self.makers else self.layer.node


def layers(net: Captured) -> list[Layer]:
    """All layers that are called once and linear in their input, depthwise ones included, in order."""
    calls = _calls(net)
    modules = dict(net.model.named_modules())
    found = []
    for i, node in enumerate(net.nodes):
        if operation(node) in _LAYERS_GENERAL:
            name = _name(net, i)
            if name in modules and calls[name] == 1 and reading(modules[name]) is not None:
                found.append(_layer(net, i)[0])
    return found


def _calls(net: Captured) -> dict[str, int]:
    calls: dict[str, int] = {}
    for i, node in enumerate(net.nodes):
        if operation(node) in _LAYERS_GENERAL:
            calls[_name(net, i)] = calls.get(_name(net, i), 0) + 1
    return calls


def links(net: Captured) -> list[Link]:
    """All layers of a network that can be refitted, in the order of the forward pass.

    Left out are layers called several times, layers whose weights are computed (weight norm), and depthwise
    ones, which read one channel each.
    """
    calls = _calls(net)
    modules = dict(net.model.named_modules())
    found = []
    for i, node in enumerate(net.nodes):
        if operation(node) not in _LAYERS_GENERAL:
            continue
        name = _name(net, i)
        form = reading(modules[name]) if name in modules and calls.get(name) == 1 and name else None
        if form is not None and not (form.groups > 1 and form.inputs == 1):
            found.append(_link(net, i, modules, calls))
    return found


def norm_of(net: Captured, layer: Layer) -> tuple[Tensor, Tensor] | None:
    """Scale and shift of the batch norm after a layer, or None."""
    if layer.norm is None:
        return None
    node = net.nodes[layer.norm]
    parts = [net.weights[net.index[a]] if isinstance(a, Node) else None for a in node.args[1:5]]
    mean, var = parts[2], parts[3]
    assert mean is not None
    assert var is not None
    return norm_affine(parts[0], parts[1], mean, var, float(node.args[6]))  # type: ignore[arg-type]


def running(net: Captured, index: int) -> tuple[Tensor, Tensor]:
    """Running mean and variance of the batch norm at a node."""
    mean, var = net.nodes[index].args[3:5]
    assert isinstance(mean, Node)
    assert isinstance(var, Node)
    return net.weights[net.index[mean]], net.weights[net.index[var]]


def norm_module(net: Captured, layer: Layer) -> nn.Module | None:
    """The batch-norm module after a layer, or None."""
    name = norm_name(net, layer)
    return None if name is None else net.model.get_submodule(name)


def norm_name(net: Captured, layer: Layer) -> str | None:
    """The name of the batch norm after a layer, or None."""
    if layer.norm is None:
        return None
    node = net.nodes[layer.norm]
    mean = node.args[3]
    assert isinstance(mean, Node)
    return net.state[net.index[mean]].rpartition(".")[0]


def _link(net: Captured, index: int, modules: dict[str, nn.Module], calls: dict[str, int]) -> Link:
    layer, at = _layer(net, index)
    other, rectified = None, False
    add = _only_user(net, at)
    if add is not None and operation(net.nodes[add]) == "add" and not net.nodes[add].kwargs:
        a, b = net.nodes[add].args[:2]
        if isinstance(a, Node) and isinstance(b, Node) and a is not b:
            rest = b if net.index[a] == at else a
            if _shape(rest) == _shape(net.nodes[at]):
                other, at = net.index[rest], add
    end = at
    after = _only_user(net, _skipped(net, at))
    if after is not None and operation(net.nodes[after]) in _ACTIVATIONS:
        end, rectified = after, operation(net.nodes[after]) == "relu"
    return Link(layer, at, other, end, rectified, _makers(net, index, modules, calls))


def _layer(net: Captured, index: int) -> tuple[Layer, int]:
    """The layer at a node, and the node of its output after the batch norm."""
    user = _only_user(net, index)
    if user is not None and operation(net.nodes[user]) == NORM:
        got = _only_user(net, user)
        if got is not None:
            return Layer(index, _name(net, index), user), got
    return Layer(index, _name(net, index), None), index


def _makers(
    net: Captured, index: int, modules: dict[str, nn.Module], calls: dict[str, int]
) -> tuple[Layer, ...]:
    """The layers before, back through activations, pools and depthwise layers, as long as nothing else reads them."""
    found: list[Layer] = []
    at = _first_input(net, index)
    while at is not None and len(net.nodes[at].users) == 1:
        node = net.nodes[at]
        if operation(node) in _LAYERS_GENERAL:
            name = _name(net, at)
            form = reading(modules[name]) if name in modules and calls.get(name) == 1 else None
            if form is None:
                break
            found.append(_layer(net, at)[0])
            if not (form.groups > 1 and form.inputs == 1):
                break
        elif operation(node) not in _PASSED and "getitem" not in str(node.target):
            break
        at = _first_input(net, at)
    whole = bool(found) and not _depthwise(modules[found[-1].name])
    return tuple(found) if whole else ()


def _depthwise(module: nn.Module) -> bool:
    form = reading(module)
    return form is not None and form.groups > 1 and form.inputs == 1


def _first_input(net: Captured, index: int) -> int | None:
    args = net.nodes[index].args
    return net.index[args[0]] if args and isinstance(args[0], Node) else None


def _skipped(net: Captured, index: int) -> int:
    """Past operations that do nothing in evaluation."""
    while True:
        user = _only_user(net, index)
        if user is None or operation(net.nodes[user]) not in _IDENTITIES:
            return index
        index = user


def _only_user(net: Captured, index: int) -> int | None:
    users = list(net.nodes[index].users)
    return net.index[users[0]] if len(users) == 1 else None


def _name(net: Captured, index: int) -> str:
    weight = net.nodes[index].args[1]
    name = net.state.get(net.index[weight], "") if isinstance(weight, Node) else ""
    return name.removesuffix(".weight") if name.endswith(".weight") else ""


def _shape(node: Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def weights_of(net: Captured, layer: Layer) -> tuple[int, int | None]:
    """Nodes of a layer's weight, and of its bias or, where a batch norm follows, of that one's shift."""
    node = net.nodes[layer.node]
    home = node if layer.norm is None else net.nodes[layer.norm]
    shift = home.args[2] if len(home.args) > 2 else None
    weight = node.args[1]
    assert isinstance(weight, Node)
    return net.index[weight], net.index[shift] if isinstance(shift, Node) else None
