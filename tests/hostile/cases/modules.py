"""C2 to C11: modules that cannot be copied, hold odd things, or share what they compute; each is pruned and right."""

from __future__ import annotations

import threading
import types
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hostile.base import body, case, conv, features, net


class _Token(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(6, 6)

    def forward(self, query: Tensor, x: Tensor) -> Tensor:
        return F.relu(self.proj(query)).mean(1) + x


case(
    "C2 a view of a parameter as a module's input (CaiT, Perceiver)",
    net(
        lambda m, x: m.head(m.token(m.query.expand(x.shape[0], -1, -1), features(m, x)).relu()),
        **body(query=lambda: nn.Parameter(torch.randn(1, 3, 6)), token=_Token),
    ),
    prunes=False,
)
case(
    "C2 a parameter itself as a module's input",
    net(
        lambda m, x: m.head(features(m, x) + m.embed(m.query).mean(0)),
        **body(query=lambda: nn.Parameter(torch.randn(3, 5)), embed=lambda: nn.Linear(5, 6)),
    ),
)


def _stores(m: Any, x: Tensor) -> Tensor:
    m.maps = {"a": m.a(x)}  # not a leaf: copy.deepcopy refuses it
    m.last = m.b(m.maps["a"].relu()).relu()
    return m.head(m.last.mean((2, 3)))


def _run_with_gradients() -> nn.Module:
    made = net(_stores, **body(maps=None, last=None))()
    made(torch.ones(1, 3, 8, 8))
    return made


case("C3 a store of features that cannot be copied", _run_with_gradients)


def _reassigned(m: Any, x: Tensor) -> Tensor:
    m.width = m.a(x).shape[1]
    m.hidden = m.a(x).relu()
    m.hidden = m.b(m.hidden).relu()
    return m.head(m.hidden.mean((2, 3)))


case("C4 attributes reassigned in forward", net(_reassigned, **body(width=0, hidden=None)))


def _closure_hook() -> nn.Module:
    made = net(
        lambda m, x: m.head(m.b(m.a(x)).relu().mean((2, 3))),
        **body(scale=lambda: nn.Parameter(torch.rand(8) + 0.5)),
    )()
    made.a.register_forward_hook(lambda module, given, out: out.relu() * made.scale.view(1, -1, 1, 1))
    return made


case("C5 a hook that is a closure over the model", _closure_hook, or_says=r"(?i)hook")


def _closure_forward() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body())()
    old = made.forward
    made.forward = lambda x: old(x) * 2
    return made


case("C6 forward replaced by a closure over the model", _closure_forward, or_says=r"(?i)forward")


def _closure_child() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body())()
    a = made.a
    a.forward = lambda x: F.conv2d(x, a.weight, a.bias, padding=1).clamp(-3, 3)
    return made


case("C6 a layer's forward replaced by a closure over the layer", _closure_child, or_says=r"(?i)forward")


def _bound_forward() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body())()
    made.forward = types.MethodType(lambda self, x: self.run(self, x) * 2, made)
    return made


case("C6 forward replaced by a method of the model", _bound_forward)


def _locked() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body())()
    made.lock = threading.Lock()
    return made


case("C8 a lock in the model", _locked, or_says=r"(?i)lock")


def _opened() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body())()
    made.log = open(__file__, encoding="utf-8")  # noqa: SIM115
    return made


case("C8 an open file in the model", _opened, or_says=r"(?i)log|TextIO|open")


class _Uncopied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = conv(3, 8), conv(8, 6), nn.Linear(6, 4)

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("this model does not want to be copied")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(features(self, x))


case("C8 a model that refuses to be copied", _Uncopied, or_says=r"(?i)cop")


def _parent() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body())()
    made.a.owner = [made]  # a child that knows its parent
    return made


case("C8 a child that holds its parent", _parent)
case(
    "C11 images of bytes",
    net(lambda m, x: m.head(features(m, x.float() / 255)), **body()),
    example=torch.randint(
        0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    ),
)
case(
    "C11 dropout that stays on",
    net(lambda m, x: m.head(F.dropout(features(m, x), 0.5, training=True)), **body()),
    silence=False,
)
