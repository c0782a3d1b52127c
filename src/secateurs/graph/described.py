"""The groups of a network in words: what makes their channels, what leaves with them, what reads them, their costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from secateurs.contracts import Group
from secateurs.graph.attribution import Priced, Spent, attribute

FREE = ("group", "leaves together with", "through", "read by", "channels", "parameters", "MACs")
LOCKED = ("group", "locked because it", "channels", "parameters", "MACs")
"""The columns of the two tables."""
NAMES = 3
"""Layers that are named in a cell of a table."""


@dataclass(frozen=True)
class GroupInfo:
    """One group: the layers that make its channels, those that go along, those that read them.

    `params` and `macs` are those of the layers that make or carry the channels (see `attribute`).
    """

    name: str
    size: int
    locked: str | None
    producers: tuple[str, ...]
    carriers: tuple[str, ...]
    consumers: tuple[str, ...]
    through: tuple[str, ...]
    params: int
    macs: int

    def cells(self) -> tuple[str, ...]:
        """The row of a table: columns `FREE`, or `LOCKED` where the group is locked."""
        costs = (str(self.size), f"{self.params:,}", f"{self.macs:,}")
        if self.locked is not None:
            return (self.name, self.locked, *costs)
        others = [name for name in (*self.producers, *self.carriers) if name != self.name]
        return (self.name, _some(others), _some(self.through), _some(self.consumers), *costs)


def described(graph: Priced) -> tuple[GroupInfo, ...]:
    """All groups of a graph, in its order, with their layers and costs.

    Example:
        >>> import torch
        >>> from secateurs.graph import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
        >>> [info.cells() for info in described(trace(net, torch.zeros(1, 3)))]
        [('0', '', '', '2', '4', '16', '12'), ('2', 'is an output of the model', '2', '10', '8')]
    """
    spent = attribute(graph).groups
    return tuple(_info(group, spent[group.name]) for group in graph.groups)


def table(graph: Priced) -> str:
    """Three tables as text: groups whose channels may leave, groups that stay whole, and weights in no group.

    Example:
        >>> import torch
        >>> from secateurs.graph import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
        >>> print(table(trace(net, torch.zeros(1, 3))))
        group  leaves together with  through  read by  channels  parameters  MACs
        0                                     2        4         16          12
        <BLANKLINE>
        group  locked because it          channels  parameters  MACs
        2      is an output of the model  2         10          8
    """
    groups = described(graph)
    parts: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = [
        (FREE, [group.cells() for group in groups if group.locked is None]),
        (LOCKED, [group.cells() for group in groups if group.locked is not None]),
        (("in no group", "why"), list(graph.untouched.items())),
    ]
    return "\n\n".join(_aligned([columns, *rows]) for columns, rows in parts if rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _info(group: Group, spent: Spent) -> GroupInfo:
    producers, carriers, consumers = (
        tuple(dict.fromkeys(_layer(slot.tensor) for slot in group.slots_as(role)))
        for role in ("producer", "carrier", "consumer")
    )
    return GroupInfo(
        group.name,
        group.size,
        group.locked,
        producers,
        tuple(name for name in carriers if name not in producers),
        consumers,
        group.through,
        spent.params,
        spent.macs,
    )


def _layer(tensor: str) -> str:
    return tensor.rpartition(".")[0] or tensor


def _some(names: Iterable[str]) -> str:
    first = tuple(names)
    more = f" + {len(first) - NAMES}" if len(first) > NAMES else ""
    return ", ".join(first[:NAMES]) + more
