"""All captures of one network: each example in evaluation, and in training where the code does something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

from secateurs.contracts import Example
from secateurs.graph.branches import SizesRead, branches_by_size
from secateurs.graph.capture import program_of
from secateurs.graph.program import Program
from secateurs.graph.trial import twice
from secateurs.layers.tensors import named_tensors
from secateurs.network.operations import kind_of
from secateurs.running.copies import copy_model
from secateurs.running.functions import functions_of, names_of


@dataclass(frozen=True)
class Captures:
    """The programs, first those of the examples in evaluation; modes to try; places where paths may part."""

    programs: tuple[Program, ...]
    modes: tuple[bool, ...]
    notes: tuple[str, ...]

    def outputs(self, examples: int) -> dict[tuple[int, bool], list[tuple[int, ...]]]:
        """Shapes of the outputs by example and mode, where they were found without numbers."""
        whole = enumerate(self.programs[:examples])
        return {(i, False): list(p.found) for i, p in whole if p.found is not None}


def captures(model: nn.Module, examples: Sequence[Example]) -> Captures:
    """Capture a network that can be followed on its examples; the network itself is not run.

    Raises:
        CaptureError: It does not run on one of them in evaluation.

    Example:
        >>> import torch
        >>> found = captures(nn.Sequential(nn.Linear(2, 3), nn.Dropout()), [torch.ones(1, 2)])
        >>> len(found.programs), found.modes
        (1, (False,))
    """
    own = {id(t): t for _, t in named_tensors(model)}
    still = copy_model(model, own).eval()
    with SizesRead() as sizes:
        programs = [_canonical(program_of(still, example), model) for example in examples]
    forks = dict.fromkeys(note for program in programs for note in _forks(program))
    notes = (*forks, *branches_by_size(sizes.codes))
    read = {name for program in programs for name in _read(program)}
    idle = [name for name, p in model.named_parameters() if name not in read and p.dim() > 1]
    if not idle and not _minds_training(model):
        return Captures(tuple(programs), (False,), notes)
    training = copy_model(model, own).train()
    more = [p for example in examples for p in _trained(training, example, model)]
    known = {_steps(program) for program in programs}
    if any(_steps(program) not in known for program in more):
        return Captures((*programs, *more), (False, True), notes)
    return Captures(tuple(programs), (False,), notes)


def _trained(training: nn.Module, example: Example, model: nn.Module) -> list[Program]:
    """The capture in training, or none where the network does not train on inputs alone (detectors want targets)."""
    try:
        return [_canonical(program_of(training, twice(example)), model)]
    except Exception:
        return []


def _minds_training(model: nn.Module) -> bool:
    """Whether code of the model that is not PyTorch's asks if it is training."""
    return any("training" in names_of(function) for function in functions_of(model))


def _steps(program: Program) -> tuple[str, ...]:
    """The operations in order, without those that always differ in training: normalisation, dropout, counting."""
    return tuple(
        op.name
        for op in program.ops
        if kind_of(op.name) not in ("normalisation", "dropout")
        and any(out is not None and out.shape != () for out in op.outs)
    )


def _forks(program: Program) -> Iterator[str]:
    """Where the code turns numbers of a tensor into Python's own, by which it may choose what to do."""
    for op in program.ops:
        if kind_of(op.name) == "number":
            yield f"the code at {op.where} looks at numbers: the proof holds for the path that the example takes"


def _read(program: Program) -> set[str]:
    return {program.state[v] for op in program.ops for v in op.values() if v in program.state}


def _canonical(program: Program, model: nn.Module) -> Program:
    """One name for tensors that have several (tied weights)."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in named_tensors(model)}
    return replace(program, state={v: names.get(name, name) for v, name in program.state.items()})
