"""Run programs on labels: one rule per operation, unknown operations lock what they touch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from secateurs.graph.labels import LabelError, Labels, labelled
from secateurs.graph.program import Op, Program, Value
from secateurs.graph.rules import lock_packed, rule_of
from secateurs.network.operations import kind_of

_SHAPE_ERRORS = (LabelError, ValueError, IndexError, TypeError, AttributeError, KeyError)
_PASSES = 6
FixedPositions = Mapping[tuple[str, int], Sequence[tuple[np.ndarray, str]]]


def propagate(
    programs: Iterable[Program],
    choices: Mapping[int, int],
    fixed: FixedPositions,
    numbers: Mapping[str, Mapping[str, int]] | None = None,
    refused: dict[int, set[str]] | None = None,
    recompute: bool = False,
) -> Labels:
    """Labels of one or several captures of the same model (evaluation, training) together.

    `choices` says which reading of ambiguous operations to take; `fixed` locks positions of stored
    tensors that an earlier trial found to be immovable; `numbers` are the integer attributes of the modules,
    which can be made to follow where the code takes its sizes from them. `refused` remembers, from one call to
    the next, readings that only lead to locks: an axis split into positions inside a head, where the heads may leave.
    `recompute` lets channels leave that are normalised together; the statistics are then those of what is left.
    """
    programs, refused = list(programs), {} if refused is None else refused
    for _ in range(_PASSES):
        labels = _propagated(programs, Labels(choices, numbers, refused, recompute), fixed)
        if not labels.reconsider():
            break
    return labels


def _propagated(programs: Iterable[Program], labels: Labels, fixed: FixedPositions) -> Labels:
    for number, program in enumerate(programs):
        counted = len(labels.terms)
        for value, name in program.state.items():
            labels.add_state(value, name)
        lock_packed(labels)
        labels.read.update(program.state[v] for op in program.ops for v in op.values() if v in program.state)
        labels.readers = program.readers()
        for op in program.ops:
            labels.step += 1
            _apply(labels, op)
        labels.lock_values(program.outputs, "is an output of the model")
        if number:  # costs are those of evaluation
            del labels.terms[counted:]
    for key, entries in fixed.items():
        for positions, reason in entries:
            if key in labels.names:
                labels.lock(labels.names[key] + positions, reason)
    return labels


def _apply(labels: Labels, op: Op) -> None:
    rule = rule_of(op)
    touched = list(op.values())
    if rule is not None:
        try:
            rule(labels, op)
            if op.outs and op.outs[0] is not None and op.outs[0] not in labels.axes:
                raise LabelError("a result has no labels")
            if touched and all(v in labels.derived for v in touched):
                labels.derived.update(v for v in op.outs if v is not None)
            return
        except _SHAPE_ERRORS:
            pass
    if kind_of(op.name) not in ("check", "number") and any(labelled(labels.of(v)) for v in touched):
        labels.lock_values(touched, f"no rule follows channels through {op}")
    for out in op.outs:
        if isinstance(out, Value):
            labels.axes.pop(out, None)
