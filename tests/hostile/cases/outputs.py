"""S1: outputs that plain containers do not hold: objects, dataclasses, odd mappings, generators, attributes."""

from __future__ import annotations

from collections import OrderedDict, UserDict, deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from hostile.base import body, case, features, net


@dataclass
class Scores:
    logits: Tensor
    more: Any = None


class Plain:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Slotted:
    __slots__ = ("logits",)

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Answer(dict):
    """A subclass of dict, as detection libraries have."""


class Ordered(OrderedDict):
    """A subclass with attributes, as transformers has."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits)
        self.logits = logits


class Parts(list):
    """A subclass of list."""


FORMS: dict[str, Any] = {
    "dataclass": Scores,
    "plain object": Plain,
    "object with slots": Slotted,
    "SimpleNamespace": lambda t: SimpleNamespace(logits=t),
    "subclass of dict": lambda t: Answer(logits=t),
    "subclass of OrderedDict with attributes": Ordered,
    "UserDict": lambda t: UserDict(logits=t),
    "subclass of list": lambda t: Parts([t]),
    "deque": lambda t: deque([t]),
    "set": lambda t: {t},
    "dict with tuple keys": lambda t: {(0, 1): t},
    "nested": lambda t: {"all": [Scores(torch.zeros(1), more=(Plain(t),))]},
}

for _name, _form in FORMS.items():
    case(
        f"S1 output in a {_name}",
        net(lambda m, x, form=_form: form(m.head(features(m, x))), **body()),
        whole=("head.bias",),
    )

case(
    "S1 output of a generator",
    net(lambda m, x: (y for y in [m.head(features(m, x))]), **body()),
    whole=("head.bias",),
)


def _put(m: Any, x: Tensor) -> None:
    m.logits = m.head(features(m, x))


case(
    "S1 no output but an attribute",
    net(_put, **body(logits=None)),
    whole=("head.bias",),
    training=False,
    read=lambda m, out: m.logits,
)
case(
    "S1 no tensor in the output",
    net(lambda m, x: float(m.head(features(m, x)).sum()), **body()),
    says=r"(?i)output",
)
case(
    "S1 output that also stands in an attribute",
    net(
        lambda m, x: (setattr(m, "embedding", y := m.b(m.a(x).relu()).relu().mean((2, 3))), m.head(y))[1],
        **body(),
    ),
)
