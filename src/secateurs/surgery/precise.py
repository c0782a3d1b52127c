"""Run a model in another precision without a copy in it: weights are cast, and silenced, as they are read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from secateurs.contracts import IntArray
from secateurs.network.chance import Chance
from secateurs.network.operations import kind_of
from secateurs.surgery.places import Place, place_of

_READ_ONLY = {
    "__get__",
    "size",
    "dim",
    "numel",
    "is_floating_point",
    "is_complex",
    "stride",
    "__len__",
    "ndimension",
}
_LARGE = (
    2**18
)  # numbers of a tensor from which the operating system, not Python's allocator, gives its memory


class NeedsCopy(Exception):
    """The model writes into its own state, which has to be in the other precision, too."""


class Stranger(Exception):
    """A copy of a model has read a tensor of the original."""


def _by_taps(args: Any, kwargs: Any) -> Tensor | None:
    """A depthwise float64 convolution as one product per tap; None where it is another convolution.

    PyTorch has no depthwise kernel for float64 on the CPU and goes channel by channel, which takes ten times as long.
    """
    bound = dict(
        zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, strict=False)
    )
    bound.update(kwargs)
    x, weight = bound["input"], bound["weight"]
    depthwise = weight.dim() == x.dim() == 4 and 1 < bound.get("groups", 1) == weight.shape[0] == x.shape[1]
    if not depthwise or x.dtype != torch.float64 or x.device.type != "cpu":
        return None
    stride, dilation = _pair(bound.get("stride", 1)), _pair(bound.get("dilation", 1))
    padding = bound.get("padding", 0)
    if isinstance(padding, str):
        return None
    with torch._C.DisableTorchFunction():
        size, high = weight.shape[2:], _pair(padding)
        x = nn.functional.pad(x, (high[1], high[1], high[0], high[0]))
        outs = [(x.shape[2 + a] - dilation[a] * (size[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
        if min(outs) < 1:
            return None
        total: Tensor | None = None
        for i, j in itertools.product(range(size[0]), range(size[1])):
            rows = slice(i * dilation[0], i * dilation[0] + (outs[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (outs[1] - 1) * stride[1] + 1, stride[1])
            tap, part = weight[:, :, i, j].reshape(1, -1, 1, 1), x[:, :, rows, columns]
            total = part * tap if total is None else total.addcmul_(part, tap)
        bias = bound.get("bias")
        return total if bias is None or total is None else total + bias.reshape(1, -1, 1, 1)


def _pair(value: Any) -> tuple[int, int]:
    low, high = (value, value) if isinstance(value, int) else (value * 2)[:2]
    return int(low), int(high)


class Precise(TorchFunctionMode):
    """Inside, every parameter and buffer of `model` is read in `precision`, with zeros at `silenced`.

    Everything that comes out is in that precision as well, random functions take their numbers from `seed`, and
    no default or generator of the process is touched. `macs` adds up the multiply-adds of convolutions and linear
    layers that have run; `places` holds what the tensors named in `watched` were applied to and what came out.

    Args:
        model: What will run, a copy of the user's own.
        silenced: Positions to read as zero, by tensor and axis.
        precision: A floating-point type.
        watched: Names of the tensors whose uses are kept.
        strangers: Tensors that must not be read, by `id`, with their names.
        seed: Of the random functions.
        sources: What is read in the place of a tensor of the model, by `id`: the original's, whose copy was saved.
        writable: Whether the model's state is in this precision already, so that it may be written.

    Raises:
        NeedsCopy: The model writes into its state, and that is not `writable`.
        Stranger: One of the `strangers` is read.
    """

    def __init__(
        self,
        model: nn.Module,
        silenced: Mapping[str, Mapping[int, IntArray]],
        precision: torch.dtype,
        *,
        watched: Collection[str] = (),
        strangers: Mapping[int, str] | None = None,
        seed: int = 0,
        sources: Mapping[int, Tensor] | None = None,
        writable: bool = False,
    ) -> None:
        super().__init__()
        self.precision, self.macs, self.strangers = precision, 0.0, strangers or {}
        self.sources, self.room = sources or {}, torch.empty(0, dtype=precision)
        self.writable = writable
        self.chance = Chance(seed)
        self.quiet: dict[int, Mapping[int, IntArray]] = {}
        self.state: dict[int, Tensor] = {}
        self.watched: dict[int, str] = {}
        self.places: list[Place] = []
        self.made: list[Tensor] = []  # an id is that of one object only while it lives
        for module in model.modules():
            held = [*module._parameters.values(), *module._buffers.values(), *vars(module).values()]
            self.state.update({id(t): t for t in held if isinstance(t, Tensor)})
        for name, tensor in [
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ]:
            if name in silenced:
                self.quiet[id(tensor)] = silenced[name]
            if name in watched:
                self.watched[id(tensor)] = name

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Cast what is state, then do what was asked."""
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in _READ_ONLY:
            if args and id(args[0]) in self.state and getattr(func, "__self__", None) is Tensor.dtype:
                return self._type(args[0])
            if args and id(args[0]) in self.sources and getattr(func, "__self__", None) is Tensor.data:
                raise NeedsCopy(name)
            return func(*args, **kwargs)
        if not self.writable and self._writes(name, args, kwargs):
            raise NeedsCopy(name)
        given = (*args, *kwargs.values())
        used = [(self.watched[id(a)], i) for i, a in enumerate(given) if id(a) in self.watched]
        shapes = [given[i].shape for _, i in used]
        args = tuple(
            self._wider(item, lent=i == 1 and kind_of(name) == "layer") for i, item in enumerate(args)
        )
        kwargs = {key: self._wider(item) for key, item in kwargs.items()}
        result = self._result(name, func, args, kwargs)
        for tensor, position in used:
            place = place_of(tensor, position, name, args, kwargs, result)
            self.places.extend([place] if place is not None else [])
        if isinstance(result, Tensor) and result.shape in shapes:
            # a weight that is computed from the stored one (weight norm, a mask) is the one that layers use
            self.watched[id(result)] = used[shapes.index(result.shape)][0]
            self.made.append(result)
        return result

    def _result(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        result = _by_taps(args, kwargs) if name == "conv2d" else None
        if result is None:
            result = self.chance(name, func, args, kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
        casts = kind_of(name) == "conversion"
        if isinstance(result, Tensor) and (casts or result.dtype in (torch.float32, torch.float16)):
            # what PyTorch makes in its default type, as constants are, meets numbers of this precision next
            result = result.to(self.precision) if result.is_floating_point() else result
        if kind_of(name) == "layer" and len(args) > 1 and isinstance(result, Tensor):
            self._count(name, args, result)
        return result

    def _count(self, name: str, args: Any, result: Tensor) -> None:
        weight = args[1]
        outs = weight.shape[0] if "transpose" not in name else max(1, weight.shape[1])
        size = (
            args[0].numel() / max(1, args[0].shape[1])
            if "transpose" in name
            else result.numel() / max(1, outs)
        )
        self.macs += size * math.prod(weight.shape)

    def _writes(self, name: str, args: Any, kwargs: Any) -> bool:
        target = kwargs.get("out", args[0] if args else None)
        changes = (name.endswith("_") and not name.endswith("__")) or name in ("__setitem__", "__set__")
        changes = changes or (name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"))
        return (changes or "out" in kwargs) and id(target) in self.state

    def _wider(self, item: Any, lent: bool = False) -> Any:
        """State as it is to be read, and every type of floats that code asks for replaced."""
        if isinstance(item, Tensor):
            return self._read(item, lent)
        if isinstance(item, torch.dtype) and item.is_floating_point:
            return self.precision
        if type(item) in (list, tuple):
            return type(item)([self._wider(part) for part in item])
        if type(item) is dict:
            return {key: self._wider(part) for key, part in item.items()}
        return item

    def _type(self, tensor: Tensor) -> torch.dtype:
        return self.precision if tensor.is_floating_point() else tensor.dtype

    def _read(self, tensor: Tensor, lent: bool) -> Tensor:
        """A tensor as it is to be read; one that is `lent` holds only until the next is."""
        if id(tensor) in self.strangers:
            raise Stranger(self.strangers[id(tensor)])
        if id(tensor) not in self.state:
            return tensor
        with torch._C.DisableTorchFunction():
            plain = self.sources.get(id(tensor), tensor).detach()
            if lent and plain.is_floating_point() and plain.numel() > _LARGE:
                cast = self._room(plain).copy_(plain)
            else:
                cast = plain.to(self.precision) if plain.is_floating_point() else plain
            gone = self.quiet.get(id(tensor))
            if gone is not None:
                cast = cast.clone() if cast.data_ptr() == plain.data_ptr() else cast
                for axis, positions in gone.items():
                    cast.index_fill_(axis, torch.as_tensor(positions, device=cast.device), 0)
            return cast

    def _room(self, plain: Tensor) -> Tensor:
        """Memory for the cast weights of one layer after the other: fresh memory takes longer than the cast."""
        if self.room.numel() < plain.numel() or self.room.device != plain.device:
            self.room = torch.empty(plain.numel(), dtype=self.precision, device=plain.device)
        return self.room[: plain.numel()].view(plain.shape)
