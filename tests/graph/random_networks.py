"""Random convolutional networks: branches, concatenations, shuffles, gates, groups, shared modules, views, splits.

`random_network(choose)` builds one from a source of choices: `choose(n)` gives a number below n. A seeded
generator makes it repeatable (`from_seed`), hypothesis makes it shrink. A step takes the newest tensor (and maybe an
older one) and makes a new one; the last tensors feed one or two heads.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import hostile_steps
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Choose = Callable[[int], int]
Run = Callable[..., Tensor]
WIDTHS = (4, 6, 8, 12)


class RandomNet(nn.Module):
    """Steps one after another; `story` says in words what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.heads = nn.ModuleList()
        self.steps: list[
            tuple[Run, int, int]
        ] = []  # what to do, its layer (-1: none), the older tensor it takes
        self.story: list[str] = []
        self.shape: list[tuple[int, int]] = [(3, 8)]  # channels and side of every tensor
        self.as_dict = False
        self.ending: Callable[[list[Tensor]], Any] | None = None
        self.random = False  # whether evaluation draws random numbers

    def forward(self, x: Tensor) -> Any:
        """All steps, then the heads."""
        tensors = [x]
        for run, layer, older in self.steps:
            parts = [tensors[-1]] if older < 0 else [tensors[-1], tensors[older]]
            tensors.append(run(self.layers[layer], *parts) if layer >= 0 else run(*parts))
        outs = [head(tensors[-1 - 2 * i]) for i, head in enumerate(self.heads)]
        if self.ending is not None:
            return self.ending(outs)
        return (
            {"main": outs[0], "more": outs[1:]}
            if self.as_dict
            else outs[0]
            if len(outs) == 1
            else tuple(outs)
        )


class Parts(nn.Module):
    """Named parts to be used by a step."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def from_seed(seed: int, hostile: bool = False) -> RandomNet:
    """The network of one seed; `hostile` ones also keep tables, hide outputs, branch, and count with their width."""
    source = random.Random(seed)
    torch.manual_seed(seed)
    return random_network(lambda n: source.randrange(n), hostile)


def random_network(choose: Choose, hostile: bool = False) -> RandomNet:
    """A network of three to nine steps."""
    known, names = {**STEPS, **(hostile_steps.STEPS if hostile else {})}, [*NAMES]
    if hostile:
        names += hostile_steps.NAMES * 2
    net = RandomNet()
    _add(net, "conv", _conv(choose, net, 3, 8))
    for _ in range(2 + choose(7)):
        name = names[choose(len(names))]
        c, side = net.shape[-1]
        made = known[name](choose, net, c, side)
        if made is None:
            made, name = _conv(choose, net, c, side), "conv"
        _add(net, name, made)
    net.as_dict = choose(4) == 0
    if hostile and choose(2):
        ending = list(hostile_steps.ENDINGS)[choose(len(hostile_steps.ENDINGS))]
        net.ending = hostile_steps.ENDINGS[ending]
        net.story.append(f"ends {ending}")
    for i in range(1 + (choose(3) == 0)):
        c, side = net.shape[-1 - 2 * i] if len(net.shape) > 2 * i + 1 else net.shape[-1]
        net.heads.append(_head(choose, c, side))
    return net


Made = "tuple[Run, nn.Module | int | None, int, tuple[int, int]] | None"


def _add(net: RandomNet, name: str, made: Any) -> None:
    run, layer, older, shape = made
    if isinstance(layer, nn.Module):
        net.layers.append(layer)
        layer = len(net.layers) - 1
    net.steps.append((run, -1 if layer is None else layer, older))
    net.shape.append(shape)
    net.story.append(f"{name}{'' if older < 0 else f' with {older}'} -> {shape}")


def _head(choose: Choose, c: int, side: int) -> nn.Module:
    kinds = [
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 3)),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(c * side * side, 3)),
        lambda: nn.Conv2d(c, 2, 1),
    ]
    return kinds[choose(len(kinds))]()


def _width(choose: Choose) -> int:
    return WIDTHS[choose(len(WIDTHS))]


def _same(choose: Choose, net: RandomNet, c: int, side: int, channels: bool = True) -> int:
    """An older tensor of the same side (and width), or -1."""
    last = len(net.shape) - 1
    fits = [i for i in range(1, last) if net.shape[i][1] == side and (not channels or net.shape[i][0] == c)]
    return fits[choose(len(fits))] if fits else -1


def _call(m: Any, x: Tensor) -> Tensor:
    return m(x)


def _conv(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    n, stride = _width(choose), 1 + (choose(4) == 0 and side > 2)
    layers = [nn.Conv2d(c, n, 3, stride, 1, bias=choose(2) == 0)]
    kind = choose(4)
    if kind < 2:
        layers.append(nn.BatchNorm2d(n))
    if kind == 2:
        layers.append(nn.PReLU(n))
    layers.append([nn.ReLU(), nn.ReLU(inplace=True), nn.SiLU(), nn.Identity()][choose(4)])
    return _call, nn.Sequential(*layers), -1, (n, (side + stride - 1) // stride)


def _residual(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    older = _same(choose, net, c, side)
    if older < 0:
        return _call, Residual(c), -1, (c, side)
    run = [
        lambda x, y: x + y,
        lambda x, y: x * y.sigmoid(),
        torch.maximum,
        lambda x, y: torch.stack([x, y]).sum(0),
    ]
    return run[choose(4)], None, older, (c, side)


class Residual(nn.Module):
    """A block with a shortcut."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.a, self.b, self.n = nn.Conv2d(c, 6, 3, 1, 1), nn.Conv2d(6, c, 1), nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        """Plain residual."""
        return F.relu(x + self.n(self.b(F.relu(self.a(x)))))


def _concat(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    older = _same(choose, net, c, side, channels=False)
    if older < 0 or c + net.shape[older][0] > 32:
        return None
    return (lambda x, y: torch.cat([x, y], 1)), None, older, (c + net.shape[older][0], side)


def _grouped(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    groups = [g for g in (2, 3, 4) if c % g == 0]
    if not groups:
        return None
    g = groups[choose(len(groups))]
    n = g * (1 + choose(4))
    if choose(3) == 0 and side <= 4:
        return _call, nn.ConvTranspose2d(c, n, 2, 2, groups=g), -1, (n, side * 2)
    return _call, nn.Sequential(nn.Conv2d(c, n, 3, 1, 1, groups=g), nn.ReLU()), -1, (n, side)


def _depthwise(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    k = 1 + (choose(3) == 0)
    return (
        _call,
        nn.Sequential(nn.Conv2d(c, c * k, 3, 1, 1, groups=c), nn.BatchNorm2d(c * k)),
        -1,
        (c * k, side),
    )


def _transposed(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    if side > 4:
        return None
    n = _width(choose)
    return _call, nn.ConvTranspose2d(c, n, 2, 2), -1, (n, side * 2)


def _resize(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    if side > 2 and choose(2):
        run = [lambda x: F.max_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)][choose(2)]
        return run, None, -1, (c, side // 2)
    if side > 4:
        return (lambda x: F.max_pool2d(x, 3, 1, 1)), None, -1, (c, side)
    return (lambda x: F.interpolate(x, scale_factor=2)), None, -1, (c, side * 2)


def _gate(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    if choose(3) == 0:
        return (lambda m, x: x * m(x).sigmoid()), nn.Conv2d(c, 1, 3, 1, 1), -1, (c, side)
    if choose(2):
        m = Parts(down=nn.Conv2d(c, 4, 1), up=nn.Conv2d(4, c, 1))
        return (
            (lambda m, x: x * m.up(m.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()),
            m,
            -1,
            (c, side),
        )
    m = Parts(down=nn.Linear(c, 4), up=nn.Linear(4, c))
    return (
        (lambda m, x: x * m.up(m.down(x.mean((2, 3))).relu()).sigmoid().view(x.shape[0], -1, 1, 1)),
        m,
        -1,
        (c, side),
    )


def _shuffle(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    groups = [g for g in (2, 3) if c % g == 0]
    if not groups:
        return None
    g = groups[choose(len(groups))]

    def by_view(x: Tensor) -> Tensor:
        b, n, h, w = x.shape
        return x.view(b, g, n // g, h, w).transpose(1, 2).reshape(b, n, h, w)

    return [by_view, lambda x: F.channel_shuffle(x, g)][choose(2)], None, -1, (c, side)


def _halves(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    if c % 2:
        return None
    kind = choose(4)
    if kind == 0:
        return (lambda x: F.glu(x, 1)), None, -1, (c // 2, side)
    if kind == 1:
        return (lambda x: (p := x.chunk(2, 1))[0] * p[1].tanh()), None, -1, (c // 2, side)
    if kind == 2:
        return (lambda x: x[:, : x.shape[1] // 2] + x[:, x.shape[1] // 2 :]), None, -1, (c // 2, side)
    n = _width(choose)

    def run(m: Any, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.cat([a, m(b)], 1)

    return run, nn.Conv2d(c // 2, n, 3, 1, 1), -1, (c // 2 + n, side)


def _shared(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    """A layer that is there already runs again, where it fits."""
    fits = [
        i
        for i, layer in enumerate(net.layers)
        if isinstance(layer, nn.Sequential)
        and isinstance(layer[0], nn.Conv2d)
        and layer[0].in_channels == c
        and layer[0].stride == (1, 1)
    ]
    if not fits:
        return None
    i = fits[choose(len(fits))]
    return _call, i, -1, (net.layers[i][0].out_channels, side)


def _move(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    if choose(2) and c <= 12:
        return (lambda x: x.repeat(1, 2, 1, 1)), None, -1, (2 * c, side)
    if choose(2) and c % 4 == 0 and side <= 4:
        return (lambda x: F.pixel_shuffle(x, 2)), None, -1, (c // 4, side * 2)
    if choose(2) and side % 2 == 0 and c <= 8:
        return (lambda x: F.pixel_unshuffle(x, 2)), None, -1, (c * 4, side // 2)
    if choose(2):
        return (lambda x: x.flip(1).roll(1, 2)), None, -1, (c, side)
    return (lambda x: F.pad(x, (0, 0, 0, 0, 2, 1))), None, -1, (c + 3, side)


def _norm(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    kind = choose(4)
    if kind == 0 and c % 2 == 0:
        return _call, nn.GroupNorm(c // 2, c), -1, (c, side)
    if kind == 1 and side > 1:
        return _call, nn.InstanceNorm2d(c, affine=True), -1, (c, side)
    if kind == 2:
        return (lambda m, x: m(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)), nn.LayerNorm(c), -1, (c, side)
    return (
        (lambda m, x: x * m.g + m.b),
        Parts(g=nn.Parameter(torch.rand(c, 1, 1)), b=nn.Parameter(torch.rand(1))),
        -1,
        (c, side),
    )


def _last(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    """Channels last: linear layers on maps; or a weight that no module owns."""
    n = _width(choose)
    if choose(2):
        return (lambda m, x: m(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)), nn.Linear(c, n), -1, (n, side)
    if choose(2):
        return (
            (lambda m, x: torch.einsum("bchw,dc->bdhw", x, m.w)),
            Parts(w=nn.Parameter(torch.rand(n, c))),
            -1,
            (n, side),
        )
    return (
        (lambda m, x: F.conv2d(x, m.w * 0.5, padding=1)),
        Parts(w=nn.Parameter(torch.rand(n, c, 3, 3))),
        -1,
        (n, side),
    )


def _odd(choose: Choose, net: RandomNet, c: int, side: int) -> Any:
    """Code with numbers in it, which cannot follow: it has to be noticed."""
    kind = choose(5)
    if kind == 0 and c > 4:
        return (lambda x: x[:, 1:4]), None, -1, (3, side)
    if kind == 1 and c % 2 == 0:
        return (lambda x: x.split([c // 2, c - c // 2], 1)[1]), None, -1, (c - c // 2, side)
    if kind == 2:
        return (lambda x: x / x.shape[1]), None, -1, (c, side)
    if kind == 3:
        return (lambda x: x.softmax(1)), None, -1, (c, side)
    return (lambda x: x - x.mean(1, keepdim=True)), None, -1, (c, side)


STEPS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "residual": _residual,
    "concat": _concat,
    "grouped": _grouped,
    "depthwise": _depthwise,
    "transposed": _transposed,
    "resize": _resize,
    "gate": _gate,
    "shuffle": _shuffle,
    "halves": _halves,
    "shared": _shared,
    "move": _move,
    "norm": _norm,
    "last": _last,
    "odd": _odd,
}
NAMES = [*STEPS, "conv", "conv", "residual", "concat", "grouped"]
