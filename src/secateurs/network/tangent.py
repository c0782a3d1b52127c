"""Products with the Jacobian of a part of a network, operation by operation, from values that are known already.

PyTorch's forward mode computes every value anew with its derivative, and takes eight passes' time for a convolution
of channels that lie last. What most networks are made of has a rule of one line; forward mode is left for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from secateurs.layers.batch_norm import norm_affine
from secateurs.network.exported import ExportedNetwork, is_batch_norm, operation
from secateurs.network.interpreter import Interpreter


class Linearised:
    """A part of a network around present values: what its end gains, to first order, where weights change.

    Args:
        run: Of the network.
        end: The node whose derivative is asked for.
        values: What is known; all that `end` depends on beyond it is computed once, here.
        leaves: Weights that change, by node, at which the derivative is taken.

    Attributes:
        output: The value of `end`; where gradients are enabled and leaves ask for them, part of their graph.
    """

    def __init__(
        self, run: Interpreter, end: int, values: Mapping[int, Any], leaves: Mapping[int, Tensor]
    ) -> None:
        self.net, self.end = run.net, end
        local = {**values, **leaves}
        self.ops = run.needed([end], local)
        for i in self.ops:
            local[i] = self.net.value(i, local)
        self.output: Tensor = local[end]
        read = {end, *(self.net.index[n] for i in self.ops for n in self.net.nodes[i].all_input_nodes)}
        self.values = {i: _detached(local[i]) for i in read if i in local}

    @torch.no_grad()
    def forth(self, moves: Mapping[int, Tensor]) -> Tensor:
        r"""J x for moves x of leaves, by node; those not named stay.

        Cost:
            For each operation that depends on a leaf, about the time of the operation for each thing it reads that
            changes.
        """
        tangents: dict[int, Tensor] = dict(moves)
        for i in self.ops:
            if any(self.net.index[n] in tangents for n in self.net.nodes[i].all_input_nodes):
                found = self._tangent(i, tangents)
                if found is not None:
                    tangents[i] = found
        found = tangents.get(self.end)
        return torch.zeros_like(self.values[self.end]) if found is None else found

    def _tangent(self, i: int, tangents: Mapping[int, Tensor]) -> Tensor | None:
        rule = _RULES.get("batch_norm" if is_batch_norm(self.net.nodes[i]) else operation(self.net.nodes[i]))
        found = None if rule is None else rule(self.net, i, self.values, tangents)
        return _by_forward_mode(self.net, i, self.values, tangents) if found is None else found


_Rule = Callable[[ExportedNetwork, int, Mapping[int, Any], Mapping[int, Tensor]], Tensor | None]


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _by_forward_mode(
    net: ExportedNetwork, i: int, values: Mapping[int, Any], tangents: Mapping[int, Tensor]
) -> Tensor | None:
    """The derivative of any operation, computed with its value."""
    with forward_ad.dual_level():
        duals = dict(values)
        for node in net.nodes[i].all_input_nodes:
            at = net.index[node]
            if at in tangents:
                duals[at] = forward_ad.make_dual(net.read(at, values), tangents[at])  # type: ignore[no-untyped-call]
        made = net.value(i, duals)
        found: Tensor | None = forward_ad.unpack_dual(made).tangent  # type: ignore[no-untyped-call]
    return found


def _layer(
    net: ExportedNetwork, i: int, values: Mapping[int, Any], tangents: Mapping[int, Tensor]
) -> Tensor | None:
    """W x + b: dW x + W dx + db."""
    x, weight, bias = (net.given(i, position) for position in range(3))
    if x is None or weight is None:
        return None
    silent = {} if bias is None else {bias: torch.zeros_like(net.read(bias, values))}
    found: Tensor | None = None
    for at in (x, weight):
        if at in tangents:
            part = net.value(i, {**values, **silent, at: tangents[at]})
            found = part if found is None else found.add_(part)
    if bias is None or bias not in tangents:
        return found
    last = operation(net.nodes[i]) == "linear"
    db = tangents[bias] if last else _along(tangents[bias], net.nodes[i].meta["val"].dim())
    if found is None:
        return db.expand(net.nodes[i].meta["val"].shape)
    return found.add_(db)


def _batch_norm(
    net: ExportedNetwork, i: int, values: Mapping[int, Any], tangents: Mapping[int, Tensor]
) -> Tensor | None:
    """A batch norm, scale x + shift: scale dx + d beta; the other parameters have no derivative here."""
    x, gamma, beta, mean, var = (net.given(i, position) for position in range(5))
    if mean is None or var is None or x is None or any(at in tangents for at in (gamma, mean, var)):
        return None
    scale, _ = norm_affine(
        None if gamma is None else net.read(gamma, values),
        None,
        net.read(mean, values),
        net.read(var, values),
        float(net.nodes[i].args[7]),  # type: ignore[arg-type]
    )
    axes = net.nodes[i].meta["val"].dim()
    shift = None if beta is None or beta not in tangents else _along(tangents[beta], axes)
    if x not in tangents:
        return None if shift is None else shift.expand(net.nodes[i].meta["val"].shape)
    dx = tangents[x]
    scaled = dx * _along(scale, axes) if shift is None else torch.addcmul(shift, dx, _along(scale, axes))
    return scaled.to(dx.dtype)


def _relu(
    net: ExportedNetwork, i: int, values: Mapping[int, Any], tangents: Mapping[int, Tensor]
) -> Tensor | None:
    """Where the value is above 0, what it read."""
    x = net.given(i, 0)
    return None if x is None else torch.ops.aten.threshold_backward(tangents[x], values[x], 0)


def _add(
    net: ExportedNetwork, i: int, values: Mapping[int, Any], tangents: Mapping[int, Tensor]
) -> Tensor | None:
    """The terms that change; only where they have the shape of the sum, and no factor."""
    found = [tangents[at] for at in (net.given(i, 0), net.given(i, 1)) if at is not None and at in tangents]
    shape = net.nodes[i].meta["val"].shape
    if net.nodes[i].kwargs or not found or any(part.shape[1:] != shape[1:] for part in found):
        return None
    return found[0] if len(found) == 1 else found[0] + found[1]


def _along(values: Tensor, axes: int) -> Tensor:
    """One number a channel, to be broadcast over a value of so many axes."""
    return values.reshape(1, -1, *(1 for _ in range(axes - 2)))


_RULES: Mapping[str, _Rule] = {
    "conv1d": _layer,
    "conv2d": _layer,
    "conv3d": _layer,
    "linear": _layer,
    "batch_norm": _batch_norm,
    "relu": _relu,
    "add": _add,
}
