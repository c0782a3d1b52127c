"""Small networks, one per structure that users write. Adding a pattern is one entry of PATTERNS.

Every pattern names the groups that may leave (`free`) and, where something has to stay whole, the reason
that has to be given (`locked`: group name to a part of its reason). Output layers are always locked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Named parts (modules, parameters, buffers, numbers) and a forward pass over them."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        self.run = forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run what was given."""
        return self.run(self, *args, **kwargs)


@dataclass(frozen=True)
class Pattern:
    """One structure: how to build it, what to feed it, and what has to come out."""

    name: str
    build: Callable[[], nn.Module]
    example: Any
    free: tuple[str, ...]
    locked: Mapping[str, str] = field(default_factory=dict)
    onnx: bool = False
    train: bool = True
    hooks: bool = True
    tolerance: float = 1e-9


PATTERNS: list[Pattern] = []


def image(c: int = 3, side: int = 8, batch: int = 2) -> Tensor:
    return torch.randn(batch, c, side, side, generator=torch.Generator().manual_seed(5))


def signal(c: int = 3, length: int = 16) -> Tensor:
    return torch.randn(2, c, length, generator=torch.Generator().manual_seed(5))


def add(
    name: str,
    build: Callable[[], nn.Module],
    free: str,
    example: Any = None,
    locked: Mapping[str, str] | None = None,
    **more: Any,
) -> None:
    """One more pattern; `free` holds the names of the groups that may leave, with spaces between them."""
    example = image() if example is None else example
    PATTERNS.append(Pattern(name, build, example, tuple(free.split()), locked or {}, **more))


def conv(i: int, o: int, k: int = 3, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, padding=k // 2, **more)


def unit(i: int, o: int, k: int = 3, **more: Any) -> nn.Sequential:
    return nn.Sequential(conv(i, o, k, bias=False, **more), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


def net(forward: Callable[..., Any], **parts: Callable[[], Any]) -> Callable[[], nn.Module]:
    """A function that builds the network afresh."""
    return lambda: Net(forward, **{name: part() for name, part in parts.items()})


def abc(
    forward: Callable[..., Any], a: int = 8, b: int = 8, out: int = 4, read: int = 0, **parts: Any
) -> Callable:
    """The usual three layers: conv a, conv b behind it, conv out at the end."""
    first = {
        "a": lambda: conv(3, a),
        "b": lambda: conv(a, b),
        "out": lambda: conv(read or b, out, 1),
    }
    return net(forward, **{**first, **parts})
