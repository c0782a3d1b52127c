"""One hostile network a case; adding one is one call of `case` in the file it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Named parts and a forward pass over them; tensors that are no parameters become buffers."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            made = part() if callable(part) and not isinstance(part, nn.Module) else part
            if isinstance(made, Tensor) and not isinstance(made, nn.Parameter):
                self.register_buffer(name, made)
            else:
                setattr(self, name, made)
        self.run = forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs)


@dataclass(frozen=True)
class Case:
    """One structure.

    Attributes:
        name: What it is, beginning with the class of the issue it stands for.
        build: Makes the network, the same at every call.
        example: One input.
        says: Pattern of the one sentence with which it is refused; None where it has to be pruned.
        whole: Parameters that have to keep their shape.
        prunes: Whether something has to become smaller (else being whole and proven is enough).
        read: Finds the outputs where they are not what `forward` returns.
        reset: Puts back what instances share (class attributes, caches, globals) before each try.
        training: Whether training is tried.
        silence: Whether silencing by the plan can be stated for it.
        options: Further arguments of `prune`.
        or_says: Pattern of a sentence that is as good as being pruned.
        tolerance: Largest gap to silencing, relative to the spread of what is compared, in float64.
        ways: "cold" (never run) and "run before".
    """

    name: str
    build: Callable[[], nn.Module]
    example: Any
    says: str | None = None
    whole: tuple[str, ...] = ()
    prunes: bool = True
    read: Callable[[nn.Module, Any], Any] | None = None
    reset: Callable[[], Any] | None = None
    training: bool = True
    silence: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    or_says: str | None = None
    tolerance: float = 1e-9
    ways: tuple[str, ...] = ("cold", "run before")


CASES: list[Case] = []


def image(c: int = 3, side: int = 8, batch: int = 2) -> Tensor:
    return torch.randn(batch, c, side, side, generator=torch.Generator().manual_seed(5))


def case(name: str, build: Callable[[], nn.Module], example: Any = None, **more: Any) -> None:
    """Add one case; its network is built from seed 0 with random biases, in evaluation mode."""

    def seeded() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = build()
            for module in made.modules():  # what torch.export made refuses eval()
                module.training = False
            return made

    CASES.append(Case(name, seeded, image() if example is None else example, **more))


def conv(i: int, o: int, k: int = 3, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, padding=k // 2, **more)


def net(forward: Callable[..., Any], **parts: Any) -> Callable[[], nn.Module]:
    """A builder of `Net`; parts that are functions are called at every build."""
    return lambda: Net(forward, **parts)


def body(**more: Any) -> dict[str, Any]:
    """Two convolutions and a linear head, over which `features` runs."""
    return {"a": lambda: conv(3, 8), "b": lambda: conv(8, 6), "head": lambda: nn.Linear(6, 4), **more}


def features(m: Any, x: Tensor) -> Tensor:
    """The vector in front of the head."""
    return m.b(m.a(x).relu()).relu().mean((2, 3))
