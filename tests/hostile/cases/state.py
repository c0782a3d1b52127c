"""C1: networks that keep something when they run: tables made on first use, counters, first data, observers."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from hostile.base import body, case, conv, features, net


def _table(m: Any, x: Tensor) -> Tensor:
    if getattr(m, "table", None) is None:
        m.table = torch.linspace(0.5, 1.5, x.shape[-1])
    return m.head(features(m, x * m.table))


case("C1 tensor of the first run in an attribute", net(_table, **body(table=None)))


def _shaped(m: Any, x: Tensor) -> Tensor:
    if m.shape != tuple(x.shape[2:]):  # YOLO's anchors and grids
        m.shape = tuple(x.shape[2:])
        m.grid = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype).expand(x.shape[-2:]) / 10
    return m.head(features(m, x + m.grid))


case("C1 grid made anew for every size", net(_shaped, **body(shape=None, grid=lambda: torch.empty(0))))


def _listed(m: Any, x: Tensor) -> Tensor:
    if not m.kept:
        m.kept.append(torch.linspace(0.5, 1.5, x.shape[-1]))
    return m.head(features(m, x * m.kept[0]))


case("C1 tensor of the first run in a list", net(_listed, **body(kept=list)))


def _dict(m: Any, x: Tensor) -> Tensor:
    key = str(x.shape[-1])
    if key not in m.kept:
        m.kept[key] = torch.linspace(0.5, 1.5, x.shape[-1])
    return m.head(features(m, x * m.kept[key]))


case("C1 tensor of the first run in a dict", net(_dict, **body(kept=dict)))


@functools.lru_cache(maxsize=8)
def _rotary(length: int) -> Tensor:
    return torch.linspace(0.5, 1.5, length)


case(
    "C1 tensor of the first run in an lru_cache (RT-DETR)",
    net(lambda m, x: m.head(features(m, x * _rotary(x.shape[-1]))), **body()),
    reset=_rotary.cache_clear,
)


def _remembered(function: Any) -> Any:
    """A decorator whose caches are seen by its own function alone, as transformers has it."""
    known, seen = functools.lru_cache(maxsize=1)(function), {}

    @functools.wraps(function)
    def wrapper(length: int, device: Any, dtype: Any) -> Tensor:
        if (length, device, dtype) not in seen:
            seen[length, device, dtype] = torch.linspace(0.5, 1.5, length, device=device, dtype=dtype)
        return known(length, device, dtype) * seen[length, device, dtype]

    wrapper.forget = lambda: (known.cache_clear(), seen.clear())  # type: ignore[attr-defined]
    return wrapper


class _Decorated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = conv(3, 8), conv(8, 6), nn.Linear(6, 4)

    @staticmethod
    @_remembered
    def table(length: int, device: Any, dtype: Any) -> Tensor:
        return torch.linspace(0.5, 1.5, length, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        maps = x.flatten(2)
        x = x + (maps @ maps.transpose(1, 2)).mean()  # a product of activations: shapes alone do not do
        return self.head(features(self, x * self.table(x.shape[-1], x.device, x.dtype)))


case(
    "C1 tensor of the first run in a decorator's cache (DETR)",
    _Decorated,
    reset=lambda: _Decorated.table.forget(),
)


class _OfTheClass(nn.Module):
    table: Tensor | None = None
    seen: dict[int, Tensor] = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = conv(3, 8), conv(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        if _OfTheClass.table is None:
            _OfTheClass.table = torch.linspace(0.5, 1.5, 1)
        if x.shape[-1] not in self.seen:
            self.seen[x.shape[-1]] = torch.linspace(0.5, 1.5, x.shape[-1])
        return self.head(features(self, x * _OfTheClass.table * self.seen[x.shape[-1]]))


def _forget() -> None:
    _OfTheClass.table = None
    _OfTheClass.seen.clear()


case("C1 tensor of the first run in a class attribute", _OfTheClass, reset=_forget)

_GLOBAL: dict[str, Any] = {"table": None}


def _global(m: Any, x: Tensor) -> Tensor:
    if _GLOBAL["table"] is None:
        _GLOBAL["table"] = torch.linspace(0.5, 1.5, 1)
    return m.head(features(m, x * _GLOBAL["table"]))


case(
    "C1 tensor of the first run in a global", net(_global, **body()), reset=lambda: _GLOBAL.update(table=None)
)


def _buffered(m: Any, x: Tensor) -> Tensor:
    if "bias_table" not in m._buffers:
        m.register_buffer("bias_table", m.index.float() * 0.1, persistent=False)
    return m.head(features(m, x + m.bias_table[: x.shape[-1]].sum()))


case(
    "C1 buffer registered in the first run (attention bias)",
    net(_buffered, **body(index=lambda: torch.arange(4))),
)


def _counted(m: Any, x: Tensor) -> Tensor:
    m.calls += 1
    m.passes.add_(1)
    m.log.append(tuple(x.shape))
    return m.head(features(m, x))


case(
    "C1 counters that advance",
    net(_counted, **body(calls=0, passes=lambda: torch.zeros(()), log=list)),
)


def _counted_output(m: Any, x: Tensor) -> Tensor:
    m.calls += 1
    return m.head(features(m, x)) * (1 + 0.1 * m.calls)


case("C1 counter that the output depends on", net(_counted_output, **body(calls=0)), silence=False)


class _ActNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.loc, self.scale = nn.Parameter(torch.zeros(width, 1, 1)), nn.Parameter(torch.ones(width, 1, 1))
        self.register_buffer("initialised", torch.tensor(0, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        if self.initialised.item() == 0:
            with torch.no_grad():
                self.loc.copy_(-x.mean((0, 2, 3)).view(-1, 1, 1))
                self.scale.copy_(1 / (x.std((0, 2, 3)).view(-1, 1, 1) + 1e-3))
                self.initialised.fill_(1)
        return self.scale * (x + self.loc)


case(
    "C1 initialisation by the first data",
    net(lambda m, x: m.head(m.b(m.n(m.a(x)).relu()).relu().mean((2, 3))), **body(n=lambda: _ActNorm(8))),
    silence=False,  # cold, the twin takes its first data from a silenced pass
    prunes=False,
)


def _observed(m: Any, x: Tensor) -> Tensor:
    m.low.copy_(torch.minimum(m.low, x.detach().amin()))
    m.high.copy_(torch.maximum(m.high, x.detach().amax()))
    return m.head(features(m, x))


case(
    "C1 observer of the inputs' range",
    net(_observed, **body(low=lambda: torch.tensor(9.0), high=lambda: torch.tensor(-9.0))),
)


def _watching() -> nn.Module:
    made = net(lambda m, x: m.head(features(m, x)), **body(seen=dict))()
    made.a.register_forward_hook(
        lambda module, given, out: setattr(module, "last", out.detach().abs().mean())
    )
    return made


case("C1 hook that keeps a statistic in its module", _watching)


class _Holder:
    """No module: a plain object that caches."""

    def __init__(self) -> None:
        self.table: Tensor | None = None

    def __call__(self, n: int) -> Tensor:
        if self.table is None or self.table.shape[0] < n:
            self.table = torch.linspace(0.5, 1.5, n)
        return self.table[:n]


case(
    "C1 tensor of the first run in a plain object",
    net(lambda m, x: m.head(features(m, x * m.holder(x.shape[-1]))), **body(holder=_Holder)),
)


def _generator(m: Any, x: Tensor) -> Tensor:
    noise = torch.rand(1, generator=m.draw)
    return m.head(features(m, x)) + 0 * noise


case(
    "C1 own generator of random numbers",
    net(_generator, **body(draw=lambda: torch.Generator().manual_seed(3))),
    prunes=False,
)
