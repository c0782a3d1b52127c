"""Which batch norm reads what a layer gives, and nothing else does: by the captured operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from secateurs.graph.program import Op, Program, Value
from secateurs.graph.rules.entry import entry_of


def norms_after(programs: Iterable[Program]) -> dict[str, str]:
    """The batch norm that alone reads the output of a layer, by the names of the tensors its weight is made of.

    Layers that are called several times and read by different norms have none.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from secateurs.graph.capture import capture
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)).eval()
        >>> norms_after([capture(net, torch.ones(1, 1, 4, 4))])
        {'1.weight': '2'}
    """
    found: dict[str, set[str | None]] = {}
    for program in programs:
        readers, sources = program.readers(), _sources(program)
        for op in program.ops:
            place = entry_of(op).weight
            if place < 0 or len(op.args) <= place:
                continue
            for name in sources.get(op.args[place], ()):
                found.setdefault(name, set()).add(_norm(program, readers, op))
    return {
        name: next(iter(norms)) or ""
        for name, norms in found.items()
        if len(norms) == 1 and None not in norms
    }


def _norm(program: Program, readers: Mapping[Value, list[Op]], op: Op) -> str | None:
    """The batch norm that alone reads the result of an operation."""
    users = readers.get(op.outs[0], []) if op.outs and op.outs[0] is not None else []
    if len(users) != 1 or entry_of(users[0]).passes != "batch norm" or users[0].args[0] is not op.outs[0]:
        return None
    mean = users[0].args[3]
    name = program.state.get(mean) if isinstance(mean, Value) else None
    return None if name is None else name.rpartition(".")[0]


def _sources(program: Program) -> dict[Value, tuple[str, ...]]:
    """Names of the stored tensors that a value is made of, where it is made of nothing else."""
    found: dict[Value, tuple[str, ...]] = {value: (name,) for value, name in program.state.items()}
    for op in program.ops:
        values = list(op.values())
        if values and all(value in found for value in values):
            names = tuple(dict.fromkeys(name for value in values for name in found[value]))
            found.update((out, names) for out in op.outs if out is not None)
    return found
