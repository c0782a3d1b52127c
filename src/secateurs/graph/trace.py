"""trace(): which channels leave together, which may not, and why."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from secateurs.contracts import Group, IntArray
from secateurs.errors import CaptureError
from secateurs.graph.capture import capture
from secateurs.graph.costs import CostModel, make_costs
from secateurs.graph.groups import Units, make_groups
from secateurs.graph.labels import Labels
from secateurs.graph.program import Program
from secateurs.graph.propagate import propagate
from secateurs.graph.slices import Keep, Shapes, kept_positions, removed_positions
from secateurs.graph.trial import Trial, culprits
from secateurs.surgery.cut import named_tensors

_ROUNDS = 60


@dataclass(frozen=True)
class FollowedBy:
    """A module attribute that counts positions: (fixed + kept positions) / divisor."""

    module: str
    attribute: str
    divisor: int
    fixed: int
    group: IntArray
    place: IntArray


@dataclass(frozen=True, eq=False)
class Graph:
    """The structure of a network: its groups, what they cost, and how to make their tensors smaller."""

    groups: tuple[Group, ...]
    costs: CostModel
    shapes: Shapes
    followers: tuple[FollowedBy, ...]
    untouched: Mapping[str, str]
    model: nn.Module

    @property
    def free(self) -> tuple[Group, ...]:
        """The groups whose units may leave."""
        return tuple(g for g in self.groups if g.locked is None)

    @property
    def locked(self) -> tuple[Group, ...]:
        """The groups that stay whole, each with its reason."""
        return tuple(g for g in self.groups if g.locked is not None)

    def __getitem__(self, name: str) -> Group:
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)

    def counts(self, keep: Keep) -> IntArray:
        """How many units every group keeps, in the order of `groups`."""
        return np.array(
            [len(keep[g.name]) if g.name in keep else g.size for g in self.groups], dtype=np.int64
        )

    def slices(self, keep: Keep) -> dict[str, dict[int, IntArray]]:
        """Positions that stay, by tensor and axis."""
        return kept_positions(self.groups, keep, self.shapes)

    def silenced(self, keep: Keep) -> dict[str, dict[int, IntArray]]:
        """Positions of the consumers that read what leaves, by tensor and axis."""
        return removed_positions(self.groups, keep, "consumer")

    def attributes(self, keep: Keep) -> dict[str, dict[str, int]]:
        """Integer attributes of modules (groups, num_groups, ...) that change with the keep-sets."""
        masks = {}
        for i, group in enumerate(self.groups):
            if group.name in keep and len(keep[group.name]) < group.size:
                masks[i] = np.zeros(group.size, dtype=bool)
                masks[i][np.asarray(keep[group.name])] = True
        result: dict[str, dict[str, int]] = {}
        for f in self.followers:
            if not any(i in masks for i in np.unique(f.group)):
                continue
            kept = f.fixed + sum(
                int(masks[i][f.place[f.group == i]].sum()) if i in masks else int((f.group == i).sum())
                for i in np.unique(f.group)
            )
            result.setdefault(f.module, {})[f.attribute] = kept // f.divisor
        return result


def trace(model: nn.Module, example: Any) -> Graph:
    """Find the coupled groups of a network by running it on labels, and try them on its code.

    Args:
        model: Any module; it is left as it is, in mode and in every number.
        example: One input: a tensor, a tuple of positional inputs, or a dict of named ones.

    Returns:
        The groups, free and locked, in the order of the forward pass.

    Raises:
        CaptureError: the model does not run on the example.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> [(g.name, g.size, g.locked) for g in trace(net, torch.zeros(1, 3, 8, 8)).groups]
        [('0', 8, None), ('2', 4, 'is an output of the model')]
    """
    return Tracer(model, example).graph()


class Tracer:
    """One model and its captures; locks found later (by values, not shapes) can be added and traced again."""

    def __init__(self, model: nn.Module, example: Any) -> None:
        self.model, self.example = model, example
        with evaluating(model):
            self.programs, modes = _captures(model, example)
            self.shapes = {name: tuple(t.shape) for name, t in named_tensors(model)}
            self.trial = Trial(model, example, self.shapes, modes)
        self.choices: dict[int, int] = {}
        self.fixed: dict[tuple[str, int], list[tuple[np.ndarray, str]]] = {}
        self.last: Graph | None = None

    def graph(self) -> Graph:
        """Propagate, try, lock or read differently what fails, until everything left free works."""
        for _ in range(_ROUNDS):
            labels = propagate(self.programs, self.choices, self.fixed)
            units = make_groups(labels)
            self._labels, self._units = labels, units
            self.last = graph = _graph(labels, units, self.model, self.shapes)
            free = graph.free
            with evaluating(self.model):
                failed = (
                    culprits(free, lambda some, g=graph: self.trial.run(some, g.attributes)) if free else []
                )
            if not failed:
                return graph
            for group, failure in failed:
                self.blame(group, str(failure))
        raise CaptureError(
            "model: no set of groups could be removed together; this is a bug of the structure engine."
        )

    def blame(self, group: Group, reason: str) -> None:
        """Take the next reading of the ambiguous operations on a group's way, or lock it when there is none."""
        labels, units = self._labels, self._units
        index = next(i for i, g in enumerate(units.groups) if g.name == group.name)
        ways = [
            step
            for step, arrays in labels.touched.items()
            if self.choices.get(step, 0) + 1 < labels.options[step]
            and any((units.group[units.of[a[a >= 0]]] == index).any() for a in arrays)
        ]
        for step in ways:
            self.choices[step] = self.choices.get(step, 0) + 1
        if not ways:
            self.lock(group, reason)

    def lock(self, group: Group, reason: str) -> None:
        """Lock a group by its places in the stored tensors, which stay when groups change."""
        for slot in group.slots_as("producer"):
            self.fixed.setdefault((slot.tensor, slot.axis), []).append((slot.positions.ravel(), reason))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every module gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _captures(model: nn.Module, example: Any) -> tuple[list[Program], Sequence[bool]]:
    """The evaluation graph and, where layers only run in training (auxiliary heads), that one too."""
    programs = [_canonical(capture(model, example), model)]
    used = {name for program in programs for name in _read_names(program)}
    idle = [name for name, p in model.named_parameters() if name not in used and p.dim() > 1]
    if not idle:
        return programs, (False,)
    twice = pytree.tree_map(
        lambda x: torch.cat([x, x]) if isinstance(x, torch.Tensor) and x.dim() else x, example
    )
    try:
        training = copy.deepcopy(model).train()
        program = _canonical(capture(training, twice), model)
    except Exception:
        return programs, (False,)
    if any(name in _read_names(program) for name in idle):
        return [*programs, program], (False, True)
    return programs, (False,)


def _read_names(program: Program) -> set[str]:
    return {program.state[v] for op in program.ops for v in op.values() if v in program.state}


def _canonical(program: Program, model: nn.Module) -> Program:
    """One name for tensors that have several (tied weights)."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in named_tensors(model)}
    return replace(program, state={v: names.get(name, name) for v, name in program.state.items()})


def _graph(labels: Labels, units: Units, model: nn.Module, shapes: Shapes) -> Graph:
    parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
    followers = []
    for f in labels.follows:
        real = f.array[f.array >= 0]
        group, place = units.group[units.of[real]], units.place[units.of[real]]
        fixed = len(f.array) - int((group >= 0).sum())
        followers.append(
            FollowedBy(f.module, f.attribute, f.divisor, fixed, group[group >= 0], place[group >= 0])
        )
    covered = {s.tensor for g in units.groups for s in g.slots}
    called = {layer for term in labels.terms for layer in [term.op.module]}
    untouched = {
        name: "has a single output channel"
        if name.rpartition(".")[0] in called
        else "is not called on this input"
        for name, p in model.named_parameters()
        if p.dim() > 1 and name not in covered
    }
    costs = make_costs(labels, units, parameters)
    return Graph(units.groups, costs, shapes, tuple(followers), untouched, model)
