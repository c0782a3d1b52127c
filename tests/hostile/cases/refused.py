"""C2 to C11: what cannot be pruned is refused in one sentence that says why and what to do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hostile.base import Net, body, case, conv, features, image, net

case(
    "C7 a lazy layer that has not run",
    lambda: nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), conv(8, 4)),
    says=r"(?i)lazy",
    ways=("cold",),
)
case(
    "C9 weights on the meta device",
    lambda: nn.Sequential(conv(3, 8), nn.ReLU(), conv(8, 4)).to("meta"),
    says=r"(?i)meta",
)
case(
    "C9 no parameters",
    lambda: nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)),
    says=r"(?i)parameter|nothing|no layer",
)
case(
    "C9 parameters but no layer",
    net(lambda m, x: x * m.w, w=lambda: nn.Parameter(torch.rand(1))),
    says=r"(?i)nothing|no group|no layer|leave|prun",
)


def _quantised() -> nn.Module:
    import torch.ao.quantization as q

    if torch.backends.quantized.engine == "none":
        torch.backends.quantized.engine = next(
            e for e in torch.backends.quantized.supported_engines if e != "none"
        )
    made = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4))
    return q.quantize_dynamic(made, {nn.Linear}, dtype=torch.qint8)


case("C10 quantised modules", _quantised, says=r"(?i)quanti[sz]ed")


def _exported() -> nn.Module:
    made = Net(lambda m, x: m.head(features(m, x)), **body()).eval()
    return torch.export.export(made, (image(),)).module()


case("C10 what torch.export made", _exported, says=r"(?i)export")


def _cond(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h = torch.cond(h.sum() > 0, lambda t: m.b(t), lambda t: m.c(t), (h,))
    return m.head(h.relu().mean((2, 3)))


case("C10 torch.cond", net(_cond, **body(c=lambda: conv(8, 6))), says=r"(?i)cond")
case(
    "C10 TorchScript",
    lambda: torch.jit.trace(nn.Sequential(conv(3, 8), nn.ReLU(), conv(8, 4)), image()),
    says=r"TorchScript",
)
case(
    "C10 a part in TorchScript",
    lambda: nn.Sequential(torch.jit.trace(nn.Sequential(conv(3, 8), nn.ReLU()), image()), conv(8, 4)),
    says=r"TorchScript",
)
case(
    "C10 complex weights",
    net(
        lambda m, x: m.head(torch.view_as_real((m.a(x).to(torch.complex64) * m.w).mean((2, 3))).mean(-1)),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 1, dtype=torch.complex64)),
        head=lambda: nn.Linear(8, 4),
    ),
    prunes=False,
)


class _Failing:
    """A loader that gives one batch and then breaks."""

    def __iter__(self) -> Any:
        yield image()
        raise OSError("disk image is truncated")


plain = net(lambda m, x: m.head(features(m, x)), **body())
case(
    "C11 a loader that fails half-way",
    plain,
    says=r"truncated",
    options={"data": _Failing(), "method": "moments", "keep": None, "macs": 0.5},
)
case(
    "C11 layers= makes the target unreachable",
    plain,
    says=r"(?i)layers?\b",
    options={"keep": None, "macs": 0.2, "layers": {"*": 1.0}},
)
case(
    "C11 round_to makes the target unreachable",
    plain,
    says=r"round[_-]to",
    options={"keep": None, "macs": 0.2, "round_to": 8},
)
case(
    "C11 a pattern in layers= that fits nothing", plain, says=r"nowhere", options={"layers": {"nowhere": 0.5}}
)
case("C11 an example of another width", plain, says=r"(?i)example|run", example=image(c=5))
case("C11 an example that is no tensor", plain, says=r"(?i)example|tensor", example="image.png")
case("C11 a seed too large", plain, says=r"(?i)seed", options={"seed": 2**70, "method": "random"})
case("C11 weights that are not finite", lambda: _spoilt(), says=r"(?i)NaN|infinite", training=False)


def _spoilt() -> nn.Module:
    made = plain()
    with torch.no_grad():
        made.a.weight[0, 0, 0, 0] = float("nan")
    return made
