"""S3: outputs at which nothing can be seen, each with code that uses the width as a number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hostile.base import body, case, features, net

LOW = torch.finfo(torch.float32).min


def _mask(value: float) -> Any:
    def hide(y: Tensor) -> Tensor:
        gone = torch.zeros(y.shape[-1], dtype=torch.bool)
        gone[0] = True
        return y.masked_fill(gone, value)

    return hide


def _detected(y: Tensor) -> Tensor:
    scores = y.softmax(-1).amax(-1) * 1e-3
    return y[scores > 0.5]  # nothing ever is


HIDDEN: dict[str, Any] = {
    "logits masked by -1e9": _mask(-1e9),
    "logits masked by finfo.min": _mask(LOW),
    "logits masked by -inf": _mask(-float("inf")),
    "a constant of 1e12 beside": lambda y: torch.cat(
        [y, torch.full((y.shape[0], 1), 1e12, dtype=y.dtype)], 1
    ),
    "another output of 1e12": lambda y: (y, torch.full((2,), 1e12, dtype=y.dtype)),
    "a saturated sigmoid": lambda y: (y + 60).sigmoid(),
    "no detection above the threshold": _detected,
    "the largest class only": lambda y: y.argmax(-1),
    "a clamp that nothing passes": lambda y: y.clamp(500.0, 501.0),
}


def _zero_head() -> nn.Linear:
    head = nn.Linear(6, 4)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


for _name, _hide in HIDDEN.items():
    case(f"S3 {_name}", net(lambda m, x, hide=_hide: hide(m.head(features(m, x))), **body()))
    # Divided by its width, h is another function once it is narrower: the group has to stay whole.
    case(
        f"S3 {_name}, and the width is a number",
        net(lambda m, x, hide=_hide: hide(m.head((h := features(m, x)) / h.shape[1])), **body()),
        whole=("b.bias",),
    )

case(
    "S3 a head that starts at zero",
    net(lambda m, x: m.head(features(m, x)), **{**body(), "head": _zero_head}),
)
case(
    "S3 a head that starts at zero, and the width is a number",
    net(lambda m, x: m.head((h := features(m, x)) / h.shape[1]), **{**body(), "head": _zero_head}),
    whole=("b.bias",),
)
case(
    "S3 attention scaled by its width, and logits masked",
    net(
        lambda m, x: _mask(-1e9)(
            m.head(
                (
                    ((q := m.q(t := m.a(x).flatten(2).mT)) @ m.k(t).mT / q.shape[-1] ** 0.5).softmax(-1)
                    @ m.v(t)
                ).mean(1)
            )
        ),
        a=lambda: nn.Conv2d(3, 8, 3, padding=1),
        q=lambda: nn.Linear(8, 6),
        k=lambda: nn.Linear(8, 6),
        v=lambda: nn.Linear(8, 6),
        head=lambda: nn.Linear(6, 4),
    ),
    whole=("q.bias",),
)
case(
    "S3 -inf in equal places",
    net(
        lambda m, x: m.head(features(m, x)).masked_fill(
            torch.ones(4, 4, dtype=torch.bool).triu(1)[:2], -torch.inf
        ),
        **body(),
    ),
)
