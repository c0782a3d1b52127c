"""Patterns: parts of the channels, taken out and written by widths that the code finds in several ways."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from patterns.base import add, conv, image, net

TWO = {"a": lambda: conv(3, 8), "b": lambda: conv(3, 6)}


def _by_width(m: Any, x: Tensor) -> Tensor:
    a = m.a(x)
    both = torch.cat([a, m.b(x)], 1).relu()
    return m.out(both[:, : a.shape[1]]) + m.off(both[:, a.shape[1] :])


def _dual_path(m: Any, x: Tensor) -> Tensor:
    """The first channels are added to, the others are kept (DPN)."""
    y, z = m.a(x), m.b(x)
    return m.out(torch.cat([y[:, : m.wide] + z[:, : m.wide], y[:, m.wide :], z[:, m.wide :]], 1))


def _written(m: Any, x: Tensor) -> Tensor:
    a, b = m.a(x), m.b(x)
    y = x.new_zeros(x.shape[0], a.shape[1] + b.shape[1], *x.shape[2:])
    y[:, : a.shape[1]] = a
    y[:, a.shape[1] :] = b
    return m.out(y)


def _updated(m: Any, x: Tensor) -> Tensor:
    """A quarter of the channels is convolved in place (FasterNet)."""
    y = m.a(x).clone()
    y[:, : m.part] = m.b(y[:, : m.part].clone())
    return m.out(y)


def _shifted(m: Any, x: Tensor) -> Tensor:
    """An eighth of the channels comes from the next frame, an eighth from the one before (TSM)."""
    y = m.a(x).unflatten(0, (1, -1))
    n, moved = y.shape[2] // 8, torch.zeros_like(y)
    moved[:, :-1, :n] = y[:, 1:, :n]
    moved[:, 1:, n : 2 * n] = y[:, :-1, n : 2 * n]
    moved[:, :, 2 * n :] = y[:, :, 2 * n :]
    return m.out(moved.flatten(0, 1))


add(
    "slices at the width of another tensor",
    net(_by_width, **TWO, out=lambda: conv(8, 4), off=lambda: conv(6, 4)),
    "a b",
)
add(
    "slices at an attribute, unequal parts (DPN)",
    net(_dual_path, a=lambda: conv(3, 9), b=lambda: conv(3, 7), wide=lambda: 5, out=lambda: conv(11, 4)),
    "a a#2 b",
)
add(
    "slices by a quarter",
    net(
        lambda m, x: m.out((y := m.a(x))[:, : y.shape[1] // 4]) + m.off(y[:, y.shape[1] // 4 :]),
        a=lambda: conv(3, 24),
        out=lambda: conv(6, 4),
        off=lambda: conv(18, 4),
    ),
    "a",
)
add(
    "split at the widths of other tensors",
    net(
        lambda m, x: (
            m.out((p := torch.cat([a := m.a(x), b := m.b(x)], 1).split([a.shape[1], b.shape[1]], 1))[0])
            + m.off(p[1])
        ),
        **TWO,
        out=lambda: conv(8, 4),
        off=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "split at attributes",
    net(
        lambda m, x: m.out((p := m.a(x).split([m.first, m.second], 1))[0]) + m.off(p[1]),
        a=lambda: conv(3, 14),
        first=lambda: 9,
        second=lambda: 5,
        out=lambda: conv(9, 4),
        off=lambda: conv(5, 4),
    ),
    "a a#2",
)
add("two parts written into zeros", net(_written, **TWO, out=lambda: conv(14, 4)), "a b")
add(
    "a part updated in place (FasterNet)",
    net(_updated, a=lambda: conv(3, 16), part=lambda: 4, b=lambda: conv(4, 4), out=lambda: conv(16, 4)),
    "a a#2",
)
add(
    "channels shifted in time (TSM)",
    net(_shifted, a=lambda: conv(3, 16), out=lambda: conv(16, 4)),
    "a",
    image(batch=4),
)
add(
    "slice_scatter and select_scatter",
    net(
        lambda m, x: m.out(
            torch.select_scatter(
                torch.slice_scatter(torch.zeros_like(y := m.a(x)), m.b(x), 1, 0, m.wide), y[:, :, 0], 2, 1
            )
        ),
        a=lambda: conv(3, 8),
        b=lambda: conv(3, 5),
        wide=lambda: 5,
        out=lambda: conv(8, 4),
    ),
    "a a#2",
)
