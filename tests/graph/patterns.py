"""Small networks, one per structure that users write. Adding a pattern is one entry of PATTERNS.

Every pattern names the groups that may leave (`free`) and, where something has to stay whole, the reason
that has to be given (`locked`: group name to a part of its reason). Output layers are always locked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations


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


# -- additions, concatenations, products -------------------------------------------------------------------


def _residual(m: Any, x: Tensor) -> Tensor:
    x = m.a(x).relu()
    return m.out((x + m.b(x)).relu())


add("residual", abc(_residual), "a", onnx=True)
add(
    "residual in place",
    abc(lambda m, x: m.out(m.a(x).relu_().add_(m.b(x.mean(1, keepdim=True).expand(-1, 8, -1, -1))))),
    "a",
    train=False,
)
add(
    "concat", abc(lambda m, x: m.out(torch.cat([(y := m.a(x).relu()), m.b(y)], 1)), read=16), "a b", onnx=True
)
add(
    "concat with itself",
    abc(lambda m, x: m.out(torch.cat([(y := m.b(m.a(x).relu())), y], 1)), read=16),
    "a b",
)
add(
    "dense block",
    net(
        lambda m, x: m.out(
            torch.cat([x0 := m.a(x), x1 := m.b(x0.relu()), m.c(torch.cat([x0, x1], 1).relu())], 1)
        ),
        a=lambda: conv(3, 6),
        b=lambda: conv(6, 4),
        c=lambda: conv(10, 4),
        out=lambda: conv(14, 5),
    ),
    "a b c",
)
add("product of branches", abc(lambda m, x: m.out(m.a(x).sigmoid() * m.b(m.a(x)))), "a")
add("maximum of branches", abc(lambda m, x: m.out(torch.maximum(y := m.a(x), m.b(y)))), "a")
add("torch.where", abc(lambda m, x: m.out(torch.where((y := m.a(x)) > 0, m.b(y), y * 0.1))), "a")
add(
    "lerp and addcmul",
    abc(lambda m, x: m.out(torch.addcmul(torch.lerp(y := m.a(x), m.b(y), 0.3), y, y, value=0.5))),
    "a",
)
add("stack and sum", abc(lambda m, x: m.out(torch.stack([y := m.a(x), m.b(y)]).sum(0))), "a")
add("stack, max over it", abc(lambda m, x: m.out(torch.stack([y := m.a(x), m.b(y)], 1).amax(1))), "a")
add("unbind of branches", abc(lambda m, x: m.out(sum(torch.stack([y := m.a(x), m.b(y)], 1).unbind(1)))), "a")
add("sum of a list", abc(lambda m, x: m.out(sum([y := m.a(x), m.b(y), y.tanh()]))), "a")
add("chained methods in place", abc(lambda m, x: m.out(m.b(m.a(x).mul_(0.5).add_(1.0).clamp_(0, 6)))), "a b")


# -- ends of the convolutional part --------------------------------------------------------------------------
add(
    "flatten into linear",
    net(
        lambda m, x: m.fc(m.b(m.a(x).relu()).relu().flatten(1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
    ),
    "a b",
    onnx=True,
)
add(
    "view by size into linear",
    net(
        lambda m, x: m.fc(m.a(x).relu().view(x.size(0), -1)),
        a=lambda: conv(3, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
    ),
    "a",
)
add(
    "view by a literal into linear",
    net(
        lambda m, x: m.fc(m.b(m.a(x)).relu().view(-1, 24)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
    ),
    "a",
    locked={"b": "needs the full size"},
)
add(
    "view by an attribute into linear",
    net(
        lambda m, x: m.fc(m.b(m.a(x)).relu().view(-1, m.features)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6, stride=4),
        fc=lambda: nn.Linear(24, 5),
        features=lambda: 24,
    ),
    "a b",
)
add(
    "adaptive pool, flatten, two linears",
    net(
        lambda m, x: m.seq(x),
        seq=lambda: nn.Sequential(
            *unit(3, 8),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 10),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(10, 4),
        ),
    ),
    "seq.0 seq.5",
    onnx=True,
)
add(
    "global mean and max, summed (PANNs head)",
    net(
        lambda m, x: m.out(F.relu(m.fc(torch.max(y := m.a(x).mean(3), dim=2)[0] + y.mean(2)))),
        a=lambda: unit(3, 8),
        fc=lambda: nn.Linear(8, 6),
        out=lambda: nn.Linear(6, 3),
    ),
    "a.0 fc",
)
add(
    "batch norm over mel bins, then conv (PANNs)",
    net(
        lambda m, x: m.out(m.a(m.bn(x.transpose(1, 3)).transpose(1, 3)).mean((2, 3))),
        bn=lambda: nn.BatchNorm2d(8),
        a=lambda: unit(3, 8),
        out=lambda: nn.Linear(8, 3),
    ),
    "a.0",
)
add(
    "pyramid pooling with interpolate",
    net(
        lambda m, x: m.out(
            torch.cat(
                [
                    y := m.a(x),
                    F.interpolate(m.b(F.adaptive_avg_pool2d(y, 2)), size=y.shape[2:], mode="bilinear"),
                ],
                1,
            )
        ),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6, 1),
        out=lambda: conv(14, 4),
    ),
    "a.0 b.0",
)
add(
    "softmax over channels as output",
    net(lambda m, x: m.b(m.a(x)).softmax(1), a=lambda: conv(3, 8), b=lambda: conv(8, 4)),
    "a",
)
add(
    "log softmax of pooled output",
    net(
        lambda m, x: F.log_softmax(m.fc(m.a(x).mean((2, 3))), -1),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(8, 4),
    ),
    "a",
)
add(
    "mean over channels as output",
    abc(lambda m, x: m.out(m.b(y := m.a(x))) + y.mean(1, keepdim=True)),
    "b",
    locked={"a": "taken together"},
)

# -- grouped, depthwise, transposed -----------------------------------------------------------------------------
add(
    "grouped conv",
    net(
        lambda m, x: m.out(m.g(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        g=lambda: conv(8, 8, groups=2),
        out=lambda: conv(8, 4),
    ),
    "a g",
    onnx=True,
)
add(
    "grouped conv, wider out",
    net(
        lambda m, x: m.out(m.g(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        g=lambda: conv(8, 12, groups=4),
        out=lambda: conv(12, 4),
    ),
    "a",
)
add(
    "grouped conv, many small groups",
    net(
        lambda m, x: m.out(m.g(m.a(x)).relu()),
        a=lambda: conv(3, 16),
        g=lambda: conv(16, 16, groups=8),
        out=lambda: conv(16, 4),
    ),
    "a",
)
add(
    "depthwise",
    net(
        lambda m, x: m.out(m.d(m.a(x)).relu()),
        a=lambda: unit(3, 8),
        d=lambda: unit(8, 8, groups=8),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    onnx=True,
)
add(
    "depthwise, multiplier 2",
    net(
        lambda m, x: m.out(m.d(m.a(x)).relu()),
        a=lambda: unit(3, 8),
        d=lambda: unit(8, 16, groups=8),
        out=lambda: conv(16, 4),
    ),
    "a.0",
    onnx=True,
)
add(
    "functional depthwise",
    net(
        lambda m, x: m.out(F.conv2d(y := m.a(x), m.w, groups=y.shape[1])),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 3, 3)),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "functional depthwise, groups from an attribute",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.w, groups=m.dim)),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 3, 3)),
        dim=lambda: 8,
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "functional depthwise, literal groups",
    net(
        lambda m, x: m.out(F.conv2d(m.b(m.a(x)), m.w, groups=8)),
        a=lambda: conv(3, 6),
        b=lambda: conv(6, 8),
        w=lambda: nn.Parameter(torch.randn(8, 1, 3, 3)),
        out=lambda: conv(8, 4),
    ),
    "a",
    locked={"b": "needs the full size"},
)
add(
    "transposed conv",
    net(
        lambda m, x: m.out(m.t(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 6, 2, 2),
        out=lambda: conv(6, 4),
    ),
    "a t",
    onnx=True,
)
add(
    "grouped transposed conv",
    net(
        lambda m, x: m.out(m.t(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 12, 2, 2, groups=2),
        out=lambda: conv(12, 4),
    ),
    "a t",
)
add(
    "depthwise transposed conv",
    net(
        lambda m, x: m.out(m.t(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 8, 2, 2, groups=8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "Conv1d",
    net(
        lambda m, x: m.out(m.b(m.a(x)).mean(-1)),
        a=lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU()),
        b=lambda: nn.Conv1d(8, 6, 3),
        out=lambda: nn.Linear(6, 2),
    ),
    "a.0 b",
    signal(),
)
add(
    "Conv3d",
    net(
        lambda m, x: m.out(m.b(m.a(x)).mean((2, 3, 4))),
        a=lambda: nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ReLU()),
        b=lambda: nn.Conv3d(8, 6, 1),
        out=lambda: nn.Linear(6, 2),
    ),
    "a.0 b",
    torch.randn(2, 3, 5, 5, 5),
)
add(
    "same padding, dilation, reflect",
    net(
        lambda m, x: m.out(m.b(m.a(x))),
        a=lambda: nn.Conv2d(3, 8, 3, padding="same", dilation=2),
        b=lambda: nn.Conv2d(8, 6, 3, padding=1, padding_mode="reflect"),
        out=lambda: nn.Conv2d(6, 4, 1, padding=1, padding_mode="circular"),
    ),
    "a b",
)

# -- gates and attention --------------------------------------------------------------------------------------------


def _se(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    return m.out(x * torch.sigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1))))))


def _se_linear(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    b, c = x.shape[:2]
    gate = m.up(F.relu(m.down(x.mean((2, 3))))).sigmoid().view(b, c, 1, 1)
    return m.out(x * gate.expand_as(x))


def _cbam(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    gate = m.up(m.down(x.mean((2, 3), keepdim=True)).relu()) + m.up(
        m.down(x.amax((2, 3), keepdim=True)).relu()
    )
    x = x * gate.sigmoid()
    where = m.space(torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)).sigmoid()
    return m.out(x * where)


add(
    "squeeze and excitation",
    net(
        _se,
        a=lambda: unit(3, 8),
        down=lambda: conv(8, 4, 1),
        up=lambda: conv(4, 8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0 down",
    onnx=True,
)
add(
    "squeeze and excitation, linear and view",
    net(
        _se_linear,
        a=lambda: unit(3, 8),
        down=lambda: nn.Linear(8, 4),
        up=lambda: nn.Linear(4, 8),
        out=lambda: conv(8, 4),
    ),
    "a.0 down",
    onnx=True,
)
add(
    "CBAM",
    net(
        _cbam,
        a=lambda: unit(3, 8),
        down=lambda: conv(8, 4, 1),
        up=lambda: conv(4, 8, 1),
        space=lambda: conv(2, 1, 7),
        out=lambda: conv(8, 4),
    ),
    "down",
    locked={"a.0": "taken together"},
)
add(
    "one-channel mask over all channels",
    net(
        lambda m, x: m.out((y := m.a(x)) * m.mask(y).sigmoid()),
        a=lambda: unit(3, 8),
        mask=lambda: conv(8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "spatial softmax gate",
    net(
        lambda m, x: m.out((y := m.a(x)) * m.mask(y).flatten(2).softmax(-1).view(2, 1, 8, 8)),
        a=lambda: unit(3, 8),
        mask=lambda: conv(8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "branch gate by softmax (selective kernel)",
    net(
        lambda m, x: m.out(
            (torch.stack([y := m.a(x), m.b(x)], 1) * m.fc(y.mean((2, 3))).view(2, 2, 8, 1, 1).softmax(1)).sum(
                1
            )
        ),
        a=lambda: unit(3, 8),
        b=lambda: unit(3, 8, 5),
        fc=lambda: nn.Linear(8, 16),
        out=lambda: conv(8, 4),
    ),
    "",
    locked={"a.0": "", "fc": ""},
)
add(
    "branch gate by softmax, sizes from the input",
    net(
        lambda m, x: m.out(
            (
                torch.stack([y := m.a(x), m.b(x)], 1)
                * m.fc(y.mean((2, 3))).view(y.shape[0], 2, y.shape[1], 1, 1).softmax(1)
            ).sum(1)
        ),
        a=lambda: unit(3, 8),
        b=lambda: unit(3, 8, 5),
        fc=lambda: nn.Linear(8, 16),
        out=lambda: conv(8, 4),
    ),
    "a.0",
)
add(
    "ECA: conv over the channel axis",
    net(
        lambda m, x: m.out((y := m.a(x)) * m.c(y.mean((2, 3))[:, None]).sigmoid()[:, 0, :, None, None]),
        a=lambda: unit(3, 8),
        c=lambda: nn.Conv1d(1, 1, 3, padding=1, bias=False),
        out=lambda: conv(8, 4),
    ),
    "",
    locked={"a.0": "convolved as space"},
)
add(
    "GLU",
    net(
        lambda m, x: m.out(F.glu(m.b(m.a(x)), 1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 12),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "gate by halves (GLU by chunk)",
    net(
        lambda m, x: m.out((p := m.b(m.a(x)).chunk(2, 1))[0] * p[1].sigmoid()),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 12),
        out=lambda: conv(6, 4),
    ),
    "a b",
)


def _attention(m: Any, x: Tensor) -> Tensor:
    q, k, v = m.q(x := m.a(x)).flatten(2), m.k(x).flatten(2), m.v(x).flatten(2)
    y = v @ (q.transpose(1, 2) @ k).softmax(-1)
    return m.out(x + y.view_as(x))


add(
    "non-local attention",
    net(
        _attention,
        a=lambda: unit(3, 8),
        q=lambda: conv(8, 4, 1),
        k=lambda: conv(8, 4, 1),
        v=lambda: conv(8, 8, 1),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    locked={"q": "multiplied with other activations"},
)
add(
    "channel attention by a Gram matrix",
    net(
        lambda m, x: m.out(
            m.b(torch.bmm((z := (y := m.a(x)).flatten(2)).bmm(z.transpose(1, 2)).softmax(-1), z).view_as(y))
        ),
        a=lambda: unit(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a.0": ""},
)

# -- splitting and moving channels --------------------------------------------------------------------------------


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
    onnx=True,
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


# -- shortcuts -------------------------------------------------------------------------------------------------------
_OPTION_A = {
    "a": lambda: unit(3, 8),
    "b": lambda: unit(8, 6),
    "c": lambda: conv(6, 16, stride=2),
    "d": lambda: unit(16, 6),
    "e": lambda: conv(6, 16),
    "out": lambda: conv(16, 4),
}


def _option_a(pad: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        y = m.c(m.b(x))
        x = F.relu(y + pad(x[:, :, ::2, ::2], y))
        return m.out(F.relu(x + m.e(m.d(x))))

    return forward


add(
    "option-A shortcut, constants",
    net(_option_a(lambda x, y: F.pad(x, (0, 0, 0, 0, 4, 4))), **_OPTION_A),
    "a.0 b.0 d.0",
    locked={"c": "padding"},
    onnx=True,
)
add(
    "option-A shortcut, computed padding",
    net(
        _option_a(
            lambda x, y: F.pad(
                x,
                (
                    0,
                    0,
                    0,
                    0,
                    (y.shape[1] - x.shape[1]) // 2,
                    (y.shape[1] - x.shape[1]) - (y.shape[1] - x.shape[1]) // 2,
                ),
            )
        ),
        **_OPTION_A,
    ),
    "a.0 b.0 d.0",
    locked={"c": "padding"},
)
add(
    "option-A shortcut, zeros concatenated",
    net(_option_a(lambda x, y: torch.cat([x, torch.zeros(x.shape[0], 8, *x.shape[2:])], 1)), **_OPTION_A),
    "a.0 b.0 d.0",
    locked={"c": ""},
)
add(
    "option-A shortcut, zeros_like concatenated",
    net(_option_a(lambda x, y: torch.cat([x, torch.zeros_like(x)], 1)), **_OPTION_A),
    "a.0 b.0 d.0",
)
add(
    "projection shortcut",
    net(
        lambda m, x: m.out(F.relu(m.c(m.b(y := m.a(x))) + m.s(y))),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        c=lambda: conv(6, 12, stride=2),
        s=lambda: conv(8, 12, 1, stride=2),
        out=lambda: conv(12, 4),
    ),
    "a.0 b.0 c",
)
add(
    "max pool and conv concatenated (downsampling)",
    net(
        lambda m, x: m.out(torch.cat([m.b(y := m.a(x)), F.max_pool2d(y, 2)], 1)),
        a=lambda: unit(3, 8),
        b=lambda: conv(8, 6, stride=2),
        out=lambda: conv(14, 4),
    ),
    "a.0 b",
)


def _unet(m: Any, x: Tensor) -> Tensor:
    a = m.a(x)
    b = m.b(F.max_pool2d(a, 2))
    c = m.c(F.max_pool2d(b, 2))
    b = m.d(torch.cat([F.interpolate(c, scale_factor=2, mode="bilinear", align_corners=False), b], 1))
    a = m.e(torch.cat([m.up(b), a], 1))
    return m.out(a)


add(
    "U-Net",
    net(
        _unet,
        a=lambda: unit(3, 6),
        b=lambda: unit(6, 8),
        c=lambda: unit(8, 10),
        d=lambda: unit(18, 8),
        up=lambda: nn.ConvTranspose2d(8, 6, 2, 2),
        e=lambda: unit(12, 6),
        out=lambda: conv(6, 2, 1),
    ),
    "a.0 b.0 c.0 d.0 up e.0",
    onnx=True,
)

# -- normalisations ------------------------------------------------------------------------------------------------------
add(
    "GroupNorm, whole groups leave",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.GroupNorm(4, 8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "GroupNorm without affine",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.GroupNorm(4, 8, affine=False),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "GroupNorm of one group",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x)).relu())),
        a=lambda: conv(3, 8),
        n=lambda: nn.GroupNorm(1, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "normalised together"},
)
add(
    "functional group norm with a literal",
    net(
        lambda m, x: m.out(m.b(F.group_norm(m.a(x), 4).relu())),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "functional group norm with an attribute",
    net(
        lambda m, x: m.out(m.b(F.group_norm(m.a(x), m.parts).relu())),
        a=lambda: conv(3, 8),
        parts=lambda: 4,
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "InstanceNorm",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.InstanceNorm2d(8, affine=True),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "InstanceNorm without parameters",
    net(
        lambda m, x: m.out(m.n(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.InstanceNorm2d(8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "batch norm without affine or statistics",
    net(
        lambda m, x: m.out(m.k(m.n(m.a(x)).relu())),
        a=lambda: conv(3, 8),
        n=lambda: nn.BatchNorm2d(8, affine=False),
        k=lambda: nn.BatchNorm2d(8, track_running_stats=False),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "LayerNorm by permute (LayerNorm2d)",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).relu()),
        a=lambda: conv(3, 8),
        n=lambda: nn.LayerNorm(8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "normalised together"},
)
add(
    "LayerNorm by hand",
    net(
        lambda m, x: m.out(
            m.b(((y := m.a(x)) - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True) + 1e-5).sqrt() * m.w)
        ),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(1, 8, 1, 1)),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "LayerNorm over channels and space",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x)))),
        a=lambda: conv(3, 8),
        n=lambda: nn.LayerNorm([8, 8, 8]),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "normalised together"},
)
add(
    "LayerNorm over space only",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x)))),
        a=lambda: conv(3, 8),
        n=lambda: nn.LayerNorm([8, 8]),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "F.normalize over channels",
    net(
        lambda m, x: m.out(m.b(F.normalize(m.a(x), dim=1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "global response norm (ConvNeXt V2)",
    net(
        lambda m, x: m.out(
            m.b(
                (y := m.a(x))
                * ((g := y.norm(2, (2, 3), keepdim=True)) / (g.mean(1, keepdim=True) + 1e-6))
                * m.w
                + y
            )
        ),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(1, 8, 1, 1)),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "local response norm",
    net(
        lambda m, x: m.out(m.b(F.local_response_norm(m.a(x), 3))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "RMSNorm over channels last",
    net(
        lambda m, x: m.out(m.b(m.n(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))),
        a=lambda: conv(3, 8),
        n=lambda: nn.RMSNorm(8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "PReLU per channel and shared",
    net(
        lambda m, x: m.out(m.q(m.b(m.p(m.a(x))))),
        a=lambda: conv(3, 8),
        p=lambda: nn.PReLU(8),
        b=lambda: conv(8, 6),
        q=lambda: nn.PReLU(),
        out=lambda: conv(6, 4),
    ),
    "a b",
)

# -- weights that are not simply weights ---------------------------------------------------------------------------------------
add(
    "bare parameter that scales",
    net(
        lambda m, x: m.out(m.b(m.a(x) * m.g) * m.h[None, :, None, None]),
        a=lambda: conv(3, 8),
        g=lambda: nn.Parameter(torch.randn(1, 8, 1, 1)),
        b=lambda: conv(8, 6),
        h=lambda: nn.Parameter(torch.randn(6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "buffer that scales",
    net(
        lambda m, x: m.out(m.a(x) * m.g),
        a=lambda: conv(3, 8),
        g=lambda: torch.rand(8, 1, 1) + 0.5,
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "one scalar parameter (0-d)",
    net(
        lambda m, x: m.out(m.b(m.a(x)) * m.g + m.h),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        g=lambda: nn.Parameter(torch.tensor(0.7)),
        h=lambda: nn.Parameter(torch.tensor([0.2])),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "positional map of a parameter",
    net(
        lambda m, x: m.out(m.a(x) + m.p),
        a=lambda: conv(3, 8),
        p=lambda: nn.Parameter(torch.randn(1, 8, 8, 8)),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "F.conv2d with a bare parameter",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.w, m.c, padding=1).relu()),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8, 3, 3)),
        c=lambda: nn.Parameter(torch.randn(6)),
        out=lambda: conv(6, 4),
    ),
    "a w",
)
add(
    "F.linear and matmul with bare parameters",
    net(
        lambda m, x: F.linear((m.a(x).mean((2, 3)) @ m.w + m.c).relu(), m.v),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(8, 6)),
        c=lambda: nn.Parameter(torch.randn(6)),
        v=lambda: nn.Parameter(torch.randn(4, 6)),
    ),
    "a w",
    hooks=False,
)
add(
    "einsum with a parameter",
    net(
        lambda m, x: m.out(torch.einsum("bchw,dc->bdhw", m.a(x), m.w).relu()),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8)),
        out=lambda: conv(6, 4),
    ),
    "a w",
    hooks=False,
)
add(
    "einsum of two branches",
    net(
        lambda m, x: m.fc(torch.einsum("bchw,bchw->bc", y := m.a(x), m.b(y))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 8),
        fc=lambda: nn.Linear(8, 4),
    ),
    "a",
)
add(
    "bilinear pooling",
    net(
        lambda m, x: m.fc(torch.einsum("bchw,bdhw->bcd", m.a(x), m.b(x)).flatten(1)),
        a=lambda: conv(3, 6),
        b=lambda: conv(3, 5),
        fc=lambda: nn.Linear(30, 4),
    ),
    "",
    locked={"a": "", "b": ""},
)
add(
    "weight standardisation by hand",
    net(
        lambda m, x: m.out(m.b(F.conv2d(m.a(x), m.w - m.w.mean((1, 2, 3), keepdim=True), padding=1))),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8, 3, 3)),
        b=lambda: conv(6, 6),
        out=lambda: conv(6, 4),
    ),
    "b w",
    locked={"a": ""},
)
add(
    "weight scaled before use",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.w * 0.5, padding=1)),
        a=lambda: conv(3, 8),
        w=lambda: nn.Parameter(torch.randn(6, 8, 3, 3)),
        out=lambda: conv(6, 4),
    ),
    "a w",
    hooks=False,
)
add(
    "kernels summed before use",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.b.weight + F.pad(m.c.weight, (1, 1, 1, 1)), padding=1)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        c=lambda: conv(8, 6, 1),
        out=lambda: conv(6, 4),
    ),
    "a b",
    hooks=False,
)
add(
    "weight_norm, new",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: parametrizations.weight_norm(conv(3, 8)),
        b=lambda: parametrizations.weight_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "weight_norm, old",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: nn.utils.weight_norm(conv(3, 8)),
        b=lambda: nn.utils.weight_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "weight_norm of the whole tensor",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: parametrizations.weight_norm(conv(3, 8), dim=None),
        b=lambda: parametrizations.weight_norm(conv(8, 6), dim=None),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "spectral_norm, new",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: parametrizations.spectral_norm(conv(3, 8)),
        b=lambda: parametrizations.spectral_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)
add(
    "spectral_norm, old",
    net(
        lambda m, x: m.out(m.b(m.a(x).relu()).relu()),
        a=lambda: nn.utils.spectral_norm(conv(3, 8)),
        b=lambda: nn.utils.spectral_norm(conv(8, 6)),
        out=lambda: conv(6, 4),
    ),
    "a b",
    tolerance=1e-4,
)


def _tied() -> nn.Module:
    m = Net(
        lambda m, x: m.out(m.b(m.c(m.a(x)).relu())), a=conv(3, 8), b=conv(8, 8), c=conv(8, 8), out=conv(8, 4)
    )
    m.c.weight = m.b.weight
    return m


def _encoder_decoder() -> nn.Module:
    m = Net(lambda m, x: m.dec(m.enc(x).relu()), enc=nn.Linear(12, 8, bias=False), dec=nn.Linear(8, 12))
    m.dec.weight = nn.Parameter(torch.randn(12, 8))
    return m


add("tied weights", _tied, "a")
add("linear autoencoder", _encoder_decoder, "enc", torch.randn(3, 12))
add(
    "tied autoencoder, transposed",
    net(lambda m, x: F.linear(m.enc(x).relu(), m.enc.weight.t()), enc=lambda: nn.Linear(12, 8)),
    "enc",
    torch.randn(3, 12),
    hooks=False,
)
add("one module called twice", abc(lambda m, x: m.out(m.b(m.b(m.a(x)).relu()).relu())), "a")
add(
    "one module on two scales",
    abc(lambda m, x: m.out(m.b(y := m.a(x))) + F.interpolate(m.out(m.b(F.avg_pool2d(y, 2))), scale_factor=2)),
    "a b",
)
add(
    "siamese branches",
    net(
        lambda m, x, y: m.fc(torch.abs(m.a(x).mean((2, 3)) - m.a(y).mean((2, 3)))),
        a=lambda: nn.Sequential(*unit(3, 8), *unit(8, 6)),
        fc=lambda: nn.Linear(6, 1),
    ),
    "a.0 a.3",
    (image(), image().flip(2) * 0.5),
)
add(
    "siamese branches, concatenated",
    net(
        lambda m, x, y: m.fc(torch.cat([m.a(x).mean((2, 3)), m.a(y).mean((2, 3))], 1)),
        a=lambda: nn.Sequential(*unit(3, 8), *unit(8, 6)),
        fc=lambda: nn.Linear(12, 2),
    ),
    "a.0 a.3",
    (image(), image()),
)
add(
    "conv kernel made by a network",
    net(
        lambda m, x: m.out(F.conv2d(m.a(x), m.k.view(6, 8, 1, 1))),
        a=lambda: conv(3, 8),
        k=lambda: nn.Parameter(torch.randn(48)),
        out=lambda: conv(6, 4),
    ),
    "",
    locked={"a": ""},
    hooks=False,
)
add(
    "stored layers merged (Sequential surgery)",
    lambda: nn.Sequential(
        *list(
            nn.Sequential(
                *unit(3, 8), *unit(8, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 9)
            ).children()
        )[:-1],
        nn.Linear(6, 2),
    ),
    "0 3",
)
add(
    "ModuleList and ModuleDict",
    net(
        lambda m, x: m.heads["x"](m.layers[1](m.layers[0](x))),
        layers=lambda: nn.ModuleList([unit(3, 8), unit(8, 6)]),
        heads=lambda: nn.ModuleDict({"x": conv(6, 2)}),
    ),
    "layers.0.0 layers.1.0",
)


def _frozen() -> nn.Module:
    m = Net(lambda m, x: m.out(m.b(m.a(x).detach()).relu()), a=unit(3, 8), b=conv(8, 6), out=conv(6, 4))
    for p in m.a.parameters():
        p.requires_grad_(False)
    return m


add("frozen parameters, detach in the path", _frozen, "a.0 b")
add(
    "no_grad around the backbone",
    net(
        lambda m, x: m.out(m.b(_no_grad(m.a, x))),
        a=lambda: unit(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a.0 b",
)


def _no_grad(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


# -- recurrent ------------------------------------------------------------------------------------------------------------------
for kind in ("LSTM", "GRU", "RNN"):
    add(
        f"conv to {kind}",
        net(
            lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
            a=lambda: unit(3, 8),
            r=lambda kind=kind: getattr(nn, kind)(8, 5, batch_first=True),
            fc=lambda: nn.Linear(5, 3),
        ),
        "a.0",
    )
add(
    "CRNN: frequency folded into features",
    net(
        lambda m, x: m.fc(m.r(m.a(x).permute(0, 3, 1, 2).flatten(2))[0].mean(1)),
        a=lambda: unit(3, 8),
        r=lambda: nn.GRU(64, 5, batch_first=True, bidirectional=True, num_layers=2),
        fc=lambda: nn.Linear(10, 3),
    ),
    "a.0",
)
add(
    "LSTM of width equal to its input",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
        a=lambda: unit(3, 5),
        r=lambda: nn.LSTM(5, 5, num_layers=2, bidirectional=True, batch_first=True),
        fc=lambda: nn.Linear(10, 3),
    ),
    "a.0",
)
add(
    "LSTM without biases, time first",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).permute(2, 0, 1))[0][-1]),
        a=lambda: unit(3, 8),
        r=lambda: nn.LSTM(8, 5, bias=False),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0",
)
add(
    "LSTM projected",
    net(
        lambda m, x: m.fc(m.r(m.a(x).mean(2).transpose(1, 2))[0][:, -1]),
        a=lambda: unit(3, 8),
        r=lambda: nn.LSTM(8, 6, proj_size=4, batch_first=True),
        fc=lambda: nn.Linear(4, 3),
    ),
    "a.0",
)
add(
    "recurrent cell in a loop",
    net(
        lambda m, x: m.fc(_loop(m, m.a(x).mean(2))),
        a=lambda: unit(3, 8),
        r=lambda: nn.GRUCell(8, 5),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0",
    hooks=False,
)
add(
    "transformer encoder layer behind a conv",
    net(
        lambda m, x: m.fc(m.t(m.a(x).flatten(2).transpose(1, 2)).mean(1)),
        a=lambda: unit(3, 8),
        t=lambda: nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True),
        fc=lambda: nn.Linear(8, 3),
    ),
    "t.linear1",
    locked={"a.0": ""},
)


def _loop(m: Any, x: Tensor) -> Tensor:
    h = x.new_zeros(x.shape[0], 5)
    for i in range(x.shape[2]):
        h = m.r(x[:, :, i], h)
    return h


# -- inputs and outputs --------------------------------------------------------------------------------------------------------
add(
    "several inputs",
    net(
        lambda m, x, y: m.out(torch.cat([m.a(x), m.b(y)], 1)),
        a=lambda: unit(3, 8),
        b=lambda: unit(2, 6),
        out=lambda: conv(14, 4),
    ),
    "a.0 b.0",
    (image(), image(2)),
)
add(
    "inputs by name, some not floats",
    net(
        lambda m, x, mask, scale: m.out(m.a(x) * mask.unsqueeze(1) * scale["gain"]),
        a=lambda: unit(3, 8),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    {"x": image(), "mask": torch.ones(2, 8, 8, dtype=torch.bool), "scale": {"gain": torch.ones(2, 1, 1, 1)}},
)
add(
    "complex dict of inputs",
    net(
        lambda m, data: m.out(torch.cat([m.a(data["image"]), m.b(data["more"][0])], 1)),
        a=lambda: unit(3, 8),
        b=lambda: unit(2, 6),
        out=lambda: conv(14, 4),
    ),
    "a.0 b.0",
    {"data": {"image": image(), "more": [image(2)]}},
)
add(
    "several outputs in a dict",
    net(
        lambda m, x: {"logits": m.out(y := m.b(m.a(x))), "extra": [m.fc(y.mean((2, 3)))]},
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        out=lambda: conv(6, 4),
        fc=lambda: nn.Linear(6, 2),
    ),
    "a.0 b.0",
)
add(
    "a feature map is an output",
    net(
        lambda m, x: (m.out(y := m.b(m.a(x))), y),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a.0",
    locked={"b.0": "output"},
)
add(
    "deep supervision",
    net(
        lambda m, x: (m.p(y := m.a(x)), m.q(z := m.b(y)), m.out(m.c(z))),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        c=lambda: unit(6, 6),
        p=lambda: conv(8, 2, 1),
        q=lambda: conv(6, 2, 1),
        out=lambda: conv(6, 4),
    ),
    "a.0 b.0 c.0",
)
add(
    "auxiliary head that only runs in training",
    net(
        lambda m, x: (m.out(z := m.b(y := m.a(x))), m.aux(m.h(y))) if m.training else m.out(m.b(m.a(x))),
        a=lambda: unit(3, 8),
        b=lambda: unit(8, 6),
        h=lambda: unit(8, 6),
        aux=lambda: conv(6, 4),
        out=lambda: conv(6, 4),
    ),
    "a.0 b.0 h.0",
)
add(
    "integers in: an embedding beside the image",
    net(
        lambda m, x, i: m.out(m.a(x) + m.e(i)[:, :, None, None]),
        a=lambda: unit(3, 8),
        e=lambda: nn.Embedding(5, 8),
        out=lambda: conv(8, 4),
    ),
    "a.0",
    (image(), torch.tensor([1, 3])),
)
add(
    "batch as large as a channel count",
    net(
        lambda m, x: m.out(m.b(m.a(x)).relu()),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
    image(batch=8),
)
add(
    "named tuple output",
    net(lambda m, x: torch.max(m.out(m.a(x)), 1), a=lambda: conv(3, 8), out=lambda: conv(8, 4)),
    "a",
)
add(
    "input added at the end",
    net(lambda m, x: m.out(m.a(x).relu()) + x, a=lambda: conv(3, 8), out=lambda: conv(8, 3)),
    "a",
)
add(
    "input normalised inside",
    net(
        lambda m, x: m.out(m.a((x - m.mean) / m.std).relu()),
        a=lambda: conv(3, 8),
        mean=lambda: torch.rand(3, 1, 1),
        std=lambda: torch.rand(3, 1, 1) + 0.5,
        out=lambda: conv(8, 3),
    ),
    "a",
)
add("double precision", lambda: abc(_residual)().double(), "a", image().double())

# -- code that torch.export cannot follow, and odd code ----------------------------------------------------------------------------


def _stubborn(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    if float(x.sum()) > 1e9:  # depends on numbers
        x = x * 2
    for _ in range(int(x.abs().mean().item() * 0) + 2):
        x = m.b(x).relu() + x
    return m.out(x)


def _numpy(m: Any, x: Tensor) -> Tensor:
    y = m.b(m.a(x))
    scale = float(y.detach().numpy().std()) * 0 + 0.5
    return m.out(y * scale)


def _many(m: Any, x: Tensor) -> Tensor:
    """Many kinds of operations, below the level of layers."""
    if float(x.sum()) > 1e9:
        x = x * 2
    x = m.n(m.g(m.a(x)))
    y = F.adaptive_avg_pool2d(x, 1)
    x = x * m.se(y).sigmoid()
    x = torch.cat([x, F.max_pool2d(x, 3, 1, 1), F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)], 1)
    p, q = m.b(x).chunk(2, 1)
    x = F.gelu(p) * q.sigmoid()
    x = m.fc(x.flatten(2).transpose(1, 2)).softmax(1)
    return m.out(x.mean(1))


add("control flow that depends on numbers", abc(_stubborn), "", locked={"a": "taken together"})
add("a detour through numpy", abc(_numpy), "a b")
add(
    "recorded: many operations",
    net(
        _many,
        a=lambda: unit(3, 8),
        g=lambda: conv(8, 8, groups=8),
        n=lambda: nn.GroupNorm(4, 8),
        se=lambda: conv(8, 8, 1),
        b=lambda: conv(24, 12),
        fc=lambda: nn.Linear(6, 6),
        out=lambda: nn.Linear(6, 3),
    ),
    "a.0 b fc",
)
add(
    "recorded: recurrent and transposed",
    net(
        lambda m, x: m.fc(
            m.r((m.t(m.a(x * 2 if float(x.sum()) > 1e9 else x))).mean(2).transpose(1, 2))[0][:, -1]
        ),
        a=lambda: unit(3, 8),
        t=lambda: nn.ConvTranspose2d(8, 6, 2, 2),
        r=lambda: nn.GRU(6, 5, batch_first=True),
        fc=lambda: nn.Linear(5, 3),
    ),
    "a.0 r t",
    hooks=False,
)
add(
    "code that counts channels",
    net(
        lambda m, x: m.out(m.b((y := m.a(x)) / y.shape[1])),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "something else"},
)
add(
    "code that asserts its width",
    net(
        lambda m, x: m.out(m.b(_checked(m.a(x)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "needs the full size"},
)
add(
    "mean written as a sum over the width",
    net(
        lambda m, x: m.out(m.b((y := m.a(x)) - y.sum(1, keepdim=True) / 8)),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "taken together"},
)
add(
    "sorted channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).sort(1)[0])),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": "no rule"},
)
add(
    "top channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).topk(4, 1)[0])),
        a=lambda: conv(3, 8),
        b=lambda: conv(4, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "cumulative sum over channels",
    net(
        lambda m, x: m.out(m.b(m.a(x).cumsum(1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "FFT over space",
    net(
        lambda m, x: m.out(m.b(torch.fft.irfft2(torch.fft.rfft2(m.a(x)), s=(8, 8)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "grid_sample and affine grid",
    net(
        lambda m, x: m.out(
            m.b(
                F.grid_sample(
                    y := m.a(x),
                    F.affine_grid(m.fc(y.mean((2, 3))).view(-1, 2, 3), [2, 1, 8, 8], align_corners=False),
                    align_corners=False,
                )
            )
        ),
        a=lambda: conv(3, 8),
        fc=lambda: nn.Linear(8, 6),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "max pool with indices and unpool",
    net(
        lambda m, x: m.out(m.b(F.max_unpool2d(*F.max_pool2d(m.a(x), 2, return_indices=True), 2))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "padding, cropping, zero padding of space",
    net(
        lambda m, x: m.out(m.b(F.pad(m.a(x), (1, 1, 2, 2), mode="reflect"))[:, :, 2:-2, 1:-1]),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "writing into a slice of a fresh tensor",
    net(
        lambda m, x: m.out(m.b(_written(m.a(x)))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a#2 b",
    locked={"a": ""},
)
add(
    "masked fill and clamp by tensors",
    net(
        lambda m, x: m.out(m.b(m.a(x).masked_fill(x[:, :1] > 0, 0.0).clamp(m.low, None))),
        a=lambda: conv(3, 8),
        low=lambda: torch.tensor(-0.5),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "time-distributed: batch folded into time",
    net(
        lambda m, x: m.out(m.a(x.flatten(0, 1)).mean((2, 3)).view(x.shape[0], x.shape[1], -1).mean(1)),
        a=lambda: unit(3, 8),
        out=lambda: nn.Linear(8, 4),
    ),
    "a.0",
    torch.randn(2, 3, 3, 8, 8),
)
add(
    "temporal shift",
    net(
        lambda m, x: m.out(m.b(torch.cat([(y := m.a(x))[:, :2].roll(1, 0), y[:, 2:]], 1))),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 6),
        out=lambda: conv(6, 4),
    ),
    "b",
    locked={"a": ""},
)
add(
    "dropout variants",
    net(
        lambda m, x: m.out(m.e(m.b(m.d(m.a(x))))),
        a=lambda: conv(3, 8),
        d=lambda: nn.Dropout2d(),
        b=lambda: conv(8, 6),
        e=lambda: nn.AlphaDropout(),
        out=lambda: conv(6, 4),
    ),
    "a b",
)
add(
    "activations",
    net(
        lambda m, x: m.out(m.acts(m.a(x))),
        a=lambda: conv(3, 8),
        acts=lambda: nn.Sequential(
            nn.Hardswish(),
            nn.SiLU(),
            nn.Mish(),
            nn.ELU(),
            nn.SELU(),
            nn.CELU(),
            nn.GELU(),
            nn.Softplus(),
            nn.LeakyReLU(),
            nn.ReLU6(),
            nn.Hardsigmoid(),
            nn.Hardtanh(),
            nn.Softsign(),
            nn.Tanhshrink(),
            nn.LogSigmoid(),
            nn.RReLU(),
            nn.Threshold(0.1, 0.2),
            nn.Tanh(),
        ),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "pools",
    net(
        lambda m, x: m.out(
            F.lp_pool2d(F.adaptive_max_pool2d(F.avg_pool2d(F.max_pool2d(m.a(x), 2, 1, 1), 2), 4), 2.0, 2)
        ),
        a=lambda: conv(3, 8),
        out=lambda: conv(8, 4),
    ),
    "a",
)
add(
    "stochastic depth",
    net(
        lambda m, x: m.out(
            (y := m.a(x))
            + (m.b(y) * torch.empty(y.shape[0], 1, 1, 1).bernoulli_(0.5) if m.training else m.b(y))
        ),
        a=lambda: conv(3, 8),
        b=lambda: conv(8, 8),
        out=lambda: conv(8, 4),
    ),
    "a",
)


def _checked(x: Tensor) -> Tensor:
    assert x.shape[1] == 8, "eight channels are needed"
    return x


def _written(x: Tensor) -> Tensor:
    fresh = torch.zeros(x.shape[0], 8, x.shape[2], x.shape[3], dtype=x.dtype)
    fresh[:, 2:6] = x[:, 2:6]
    return fresh
