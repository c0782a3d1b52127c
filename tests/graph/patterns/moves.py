"""Patterns: splitting and moving channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from patterns.base import add, conv, net, unit


def _c2f(split: Callable[[Any, Tensor], Any]) -> Callable[[Any, Tensor], Tensor]:
    def forward(m: Any, x: Tensor) -> Tensor:
        parts = list(split(m, m.a(x)))
        parts.append(m.b(parts[-1]))
        parts.append(m.c(parts[-1]))
        return m.out(torch.cat(parts, 1))

    return forward


_C2F = {
    "a": lambda: unit(3, 8),
    "b": lambda: unit(4, 4),
    "c": lambda: unit(4, 4),
    "out": lambda: conv(16, 5, 1),
}
add("C2f with chunk", net(_c2f(lambda m, y: y.chunk(2, 1)), **_C2F), "a.0 b.0 c.0", onnx=True)
add(
    "C2f with split of an attribute",
    net(_c2f(lambda m, y: y.split((m.width, m.width), 1)), width=lambda: 4, **_C2F),
    "a.0 b.0 c.0",
)
add(
    "C2f with a literal split",
    net(_c2f(lambda m, y: y.split((4, 4), 1)), **_C2F),
    "b.0 c.0",
    locked={"a.0": "split into parts of fixed size"},
)
add(
    "chunk, one half processed, concat",
    net(
        lambda m, x: m.out(torch.cat([(p := m.a(x).chunk(2, 1))[0], m.b(p[1])], 1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(4, 6),
        out=lambda: conv(10, 4),
    ),
    "a b",
)
add(
    "split in uneven literal parts, one dropped",
    net(
        lambda m, x: m.out(m.b(torch.split(m.a(x), [6, 2], 1)[0])),
        a=lambda: conv(3, 8),
        b=lambda: conv(6, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "fixed size"},
)
add(
    "split in uneven parts of an attribute",
    net(
        lambda m, x: m.out(torch.cat([m.b((p := torch.split(m.a(x), m.parts, 1))[0]), m.c(p[1])], 1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(6, 6),
        c=lambda: conv(2, 4),
        parts=lambda: [6, 2],
        out=lambda: conv(10, 4),
    ),
    "a a#2 b c",
)
add(
    "slices to two consumers",
    net(
        lambda m, x: m.out(m.b((y := m.a(x))[:, :8]) + m.c(y[:, 8:])),
        a=lambda: conv(3, 16),
        b=lambda: conv(8, 6),
        c=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a#2 b",
    locked={"a": "cut out by number"},
)
add(
    "slices by half the width",
    net(
        lambda m, x: m.out(m.b((y := m.a(x))[:, : y.shape[1] // 2]) + m.c(y[:, y.shape[1] // 2 :])),
        a=lambda: conv(3, 16),
        b=lambda: conv(8, 6),
        c=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "every second channel",
    net(
        lambda m, x: m.out(m.b((y := m.a(x))[:, ::2]) + m.c(y[:, 1::2])),
        a=lambda: conv(3, 16),
        b=lambda: conv(8, 6),
        c=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "narrow",
    net(
        lambda m, x: m.out(m.b(m.a(x).narrow(1, 0, 4))),
        a=lambda: conv(3, 8),
        b=lambda: conv(4, 6),
        out=lambda: conv(6, 4),
    ),
    "a#2 b",
    locked={"a": ""},
)
add(
    "one channel picked",
    net(
        lambda m, x: m.out(m.b(y := m.a(x)) * y[:, 0:1]),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a#2 b",
    locked={"a": ""},
)
add(
    "index_select",
    net(
        lambda m, x: m.out(m.b(m.a(x).index_select(1, m.order))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        order=lambda: torch.tensor([3, 1, 0, 2, 7, 6, 5, 4]),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "index"},
)
add(
    "roll of channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).roll(2, 1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
    locked={"a": "wraps around"},
)
add(
    "roll of space",
    net(
        lambda m, x: m.out(m.b(m.a(x).roll((1, -1), (2, 3)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "flip of channels and space",
    net(
        lambda m, x: m.out(m.b(m.a(x).flip(1)).flip(3)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "repeat along channels",
    net(lambda m, x: m.out(m.a(x).repeat(1, 2, 1, 1)), a=lambda: conv(3, 8), out=lambda: conv(16, 4)),
    "a",
)
add(
    "repeat_interleave along channels",
    net(lambda m, x: m.out(m.a(x).repeat_interleave(2, 1)), a=lambda: conv(3, 8), out=lambda: conv(16, 4)),
    "a",
)
add(
    "pixel shuffle",
    net(
        lambda m, x: m.out(m.s(m.a(x))),
        a=lambda: conv(3, 16),
        s=lambda: nn.PixelShuffle(2),
        out=lambda: conv(4, 3),
    ),
    "a",
)
add(
    "pixel unshuffle",
    net(
        lambda m, x: m.out(m.b(F.pixel_unshuffle(m.a(x), 2))),
        a=lambda: conv(3, 4),
        b=lambda: conv(16, 6),
        out=lambda: conv(6, 3),
    ),
    "a b",
)
add(
    "space to depth by slices (Focus)",
    net(
        lambda m, x: m.out(
            m.b(
                torch.cat(
                    [(y := m.a(x))[..., ::2, ::2], y[..., 1::2, ::2], y[..., ::2, 1::2], y[..., 1::2, 1::2]],
                    1,
                )
            )
        ),
        a=lambda: conv(3, 4),
        b=lambda: conv(16, 6),
        out=lambda: conv(6, 3),
    ),
    "a b",
)


def _shuffled(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    b, c, h, w = x.shape
    x = x.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
    return m.out(m.g(x))


_SHUFFLE = {"a": lambda: unit(3, 8), "g": lambda: conv(8, 8, groups=2), "out": lambda: conv(8, 4)}
add("channel shuffle by view and transpose", net(_shuffled, **_SHUFFLE), "a.0 g", onnx=True)
add("F.channel_shuffle", net(lambda m, x: m.out(m.g(F.channel_shuffle(m.a(x), 2))), **_SHUFFLE), "a.0 g")
add(
    "nn.ChannelShuffle",
    net(lambda m, x: m.out(m.g(m.s(m.a(x)))), s=lambda: nn.ChannelShuffle(2), **_SHUFFLE),
    "a.0 g",
)
add(
    "channel shuffle with literal sizes",
    net(lambda m, x: m.out(m.g(m.a(x).view(2, 2, 4, 8, 8).transpose(1, 2).reshape(2, 8, 8, 8))), **_SHUFFLE),
    "g",
    locked={"a.0": ""},
)
add(
    "ShuffleNet unit",
    net(
        lambda m, x: m.out(F.channel_shuffle(torch.cat([(p := m.a(x).chunk(2, 1))[0], m.b(p[1])], 1), 2)),
        a=lambda: unit(3, 8),
        b=lambda: unit(4, 4),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    locked={},
)
add(
    "unflatten and sum of groups",
    net(
        lambda m, x: m.out(m.a(x).unflatten(1, (2, -1)).sum(1)), a=lambda: conv(3, 12), out=lambda: conv(6, 4)
    ),
    "a",
)
add(
    "maxout by view",
    net(
        lambda m, x: m.out(m.a(x).view(2, -1, 2, 8, 8).amax(2)), a=lambda: conv(3, 12), out=lambda: conv(6, 4)
    ),
    "a",
)
add(
    "movedim and back",
    net(
        lambda m, x: m.out(m.fc(m.a(x).movedim(1, -1)).movedim(-1, 1)),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a fc",
)
add(
    "channels last by permute",
    net(
        lambda m, x: m.out(F.gelu(m.fc(m.a(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a fc",
)
add(
    "unfold into linear",
    net(
        lambda m, x: m.out(m.fc(F.unfold(m.a(x), 2, stride=2).transpose(1, 2)).mean(1)),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(32, 6),
        out=lambda: nn.Linear(6, 4),
    ),
    "a fc",
)
