"""trace(): which channels leave together, which may not, and why."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from torch import nn

from secateurs import checks
from secateurs.contracts import Example, Group, IntArray
from secateurs.errors import CaptureError, InputError
from secateurs.graph.beside import beside, unread_tensors
from secateurs.graph.capture import check_followable
from secateurs.graph.captures import captures
from secateurs.graph.costs import CostFunction, make_costs
from secateurs.graph.described import table
from secateurs.graph.form import Form
from secateurs.graph.groups import Units, make_groups
from secateurs.graph.labels import Labels
from secateurs.graph.memory import ActivationMemory, activation_memory
from secateurs.graph.norms import norms_after
from secateurs.graph.propagate import propagate
from secateurs.graph.slices import Keep, Shapes, kept_positions, removed_positions
from secateurs.graph.trial import Failure, Trial, culprits
from secateurs.layers.sizes import numbers_of
from secateurs.layers.standardised import standardised, without_standardisation
from secateurs.layers.tensors import named_tensors
from secateurs.running.surroundings import Surroundings

_ROUNDS = 100
Normalised = Literal["lock", "recompute"]
Test = Callable[[Sequence[Group], "Graph"], "Failure | None"]
Search = Generator[tuple[Group, Failure], bool | None, None]


@dataclass(frozen=True)
class FollowedBy:
    """A module attribute that counts positions: (fixed + kept positions) / divisor."""

    module: str
    attribute: str
    divisor: int
    fixed: int
    group: IntArray
    place: IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """The structure of a network: its groups, what they cost, and how to make their tensors smaller.

    `form` says how `model` was made from another network, where it was (see `framed`); `plain` names convolutions
    that standardise their weights in the original and are plain convolutions in `model`; `notes` say where
    the code may take another path on other inputs. `norms` names the batch norm that alone reads what a layer gives,
    by the names of the tensors that make its weight. `memory` says how much is alive at once on the first example; None
    in frames.
    """

    groups: tuple[Group, ...]
    costs: CostFunction
    shapes: Shapes
    followers: tuple[FollowedBy, ...]
    untouched: Mapping[str, str]
    model: nn.Module
    form: Form | None = None
    notes: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    norms: Mapping[str, str] = field(default_factory=dict)
    memory: ActivationMemory | None = None

    def __str__(self) -> str:
        """The groups as tables: what leaves together, through what, what is locked and why, and what it costs."""
        return table(self)

    def __repr__(self) -> str:
        network = type(self.model).__name__
        return f"<Graph of {network}: {len(self.free)} groups may be pruned, {len(self.locked)} may not>"

    @property
    def original(self) -> nn.Module:
        """The network that was given: `model`, or what that was made from."""
        return self.model if self.form is None else self.form.original

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


def trace(model: nn.Module, example: Example, normalised: Normalised = "lock") -> Graph:
    """Find the coupled groups of a network by running it on labels, and try them on its code.

    Args:
        model: Any module; it is left as it is, in mode and in every number.
        example: One input: a tensor, a tuple of positional inputs, or a dict of named ones. A list of several
            examples where the code takes other paths on some (sizes, optional inputs): each path is followed.

        normalised: What becomes of channels that a LayerNorm, RMSNorm or one-group GroupNorm takes together:
            "lock" keeps them all; "recompute" lets them leave, the statistics being those of what is left, so that
            the proof is made against the original whose normalisations see the kept channels only.

    Returns:
        The groups, free and locked, in the order of the forward pass.

    Raises:
        InputError: `model` is no network, or `example` holds no tensor.
        CaptureError: the model does not run on the example.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> [(g.name, g.size, g.locked) for g in trace(net, torch.zeros(1, 3, 8, 8)).groups]
        [('0', 8, None), ('2', 4, 'is an output of the model')]
    """
    checks.check_model(model)
    checks.check_example(example)
    return Tracer(model, example, normalised).graph()


def check_normalised(name: str, value: Any) -> None:
    """Raise an InputError where a value is no way to treat channels that are normalised together.

    Example:
        >>> check_normalised("normalised", "lock")
    """
    if not isinstance(value, str) or value not in ("lock", "recompute"):
        raise InputError(
            f"{name}: {checks.shown(value)} is neither 'lock' nor 'recompute'; give one of them."
        )


@dataclass(frozen=True)
class _Seen:
    """The labels behind a graph."""

    labels: Labels
    units: Units


class Tracer:
    """One model and its captures; locks found later (by values, not shapes) can be added and traced again."""

    def __init__(self, model: nn.Module, example: Example, normalised: Normalised = "lock") -> None:
        check_normalised("normalised", normalised)
        self.recompute = normalised == "recompute"
        self.examples = example if type(example) is list else [example]
        if not self.examples:
            raise CaptureError("example: the list of examples is empty; give at least one input.")
        check_followable(model)
        self.plain = standardised(model)
        self.model = model = without_standardisation(model, self.plain)
        self.around = Surroundings.of(model)
        self.shapes = {name: tuple(t.shape) for name, t in named_tensors(model)}
        with self.around.kept():
            seen = captures(model, self.examples)
        self.programs, self.notes = seen.programs, seen.notes
        self.norms = norms_after(seen.programs)
        with self.around.kept():
            self.trial = Trial(
                model, self.examples, self.shapes, seen.modes, seen.outputs(len(self.examples))
            )
        self.numbers = {
            name: numbers_of(module) for name, module in model.named_modules(remove_duplicate=False)
        }
        self.choices: dict[int, int] = {}
        self.refused: dict[int, set[str]] = {}
        self.fixed: dict[tuple[str, int], list[tuple[np.ndarray, str]]] = {}
        self.last: Graph | None = None
        self._seen: _Seen

    @property
    def example(self) -> Any:
        """What the network was traced on: one example, or the list of all."""
        return self.examples[0] if len(self.examples) == 1 else self.examples

    def graph(self) -> Graph:
        """Propagate, try, lock or read differently what fails, until everything left free works."""
        for _ in range(_ROUNDS):
            self.last, self._seen = self._propagated(self.choices)
            sound = True
            search = culprits(self.last.free, self._try_as_read, self._suspects)
            found = next(search, None)
            while found is not None:
                sound = False
                found = self._answered(search, *found)
            if sound:
                memory = activation_memory(self.programs[0], self._seen.labels, self._seen.units)
                self.last = replace(self.last, memory=memory)
                return self.last
        raise CaptureError(
            "model: no set of groups could be removed together; this is a bug of the structure engine."
        )

    def _answered(self, search: Search, group: Group, failure: Failure) -> tuple[Group, Failure] | None:
        """Lock a culprit, or read its operations differently and have it tried again; then the next culprit."""
        changed = self.blame(group, failure)
        if changed:
            before = _sizes(self.last)
            self.last, self._seen = self._propagated(self.choices)
            if _sizes(self.last) != before:
                return None  # other groups: those that have passed say nothing of them
        try:
            return search.send(changed)
        except StopIteration:
            return None

    def _try_as_read(self, groups: Sequence[Group]) -> Failure | None:
        """Try what has become of groups, by name, under the readings taken since."""
        names = {group.name for group in groups}
        return self._try([group for group in self.last.free if group.name in names]) if self.last else None

    def blame(self, group: Group, failure: Failure, test: Test | None = None) -> bool:
        """Read the ambiguous operations on a group's way differently, or lock it when there is nothing left to try.

        Operations at the same line of code are read in the same way. Where several lines may be to blame,
        the one is taken with which the group passes. Returns whether a reading has changed.
        """
        lines = self._lines(group)
        if not lines:
            self.lock(group, str(failure))
            return False
        exact = [steps for kind, steps in lines.items() if kind[0] == failure.where]
        tries = exact or list(lines.values())
        if len(tries) > 1:
            tries = [steps for steps in tries if self._passes_with(group, steps, test)][:1] or [
                [step for steps in tries for step in steps]
            ]
        self.choices = self._advanced(tries[0])
        return True

    def _propagated(self, choices: Mapping[int, int]) -> tuple[Graph, _Seen]:
        labels = propagate(self.programs, choices, self.fixed, self.numbers, self.refused, self.recompute)
        units = make_groups(labels)
        graph = _graph(labels, units, self.model, self.shapes)
        unread = unread_tensors(self.model, labels.read)
        seen = _widths(labels, units) if unread else {}
        groups = tuple(
            beside(group, unread, self.shapes, seen.get(i, ())) for i, group in enumerate(graph.groups)
        )
        found = replace(graph, groups=groups, notes=self.notes, plain=self.plain, norms=self.norms)
        return found, _Seen(labels, units)

    def _try(self, groups: Sequence[Group], graph: Graph | None = None) -> Failure | None:
        chosen = graph or self.last
        if chosen is None or not groups:
            return None
        with self.around.kept():
            return self.trial.run(groups, chosen.attributes)

    def _suspects(self, failure: Failure) -> set[str]:
        """The groups whose channels pass the line of code at which something failed."""
        if not failure.where:
            return set()
        labels, units = self._seen.labels, self._seen.units
        values = {
            value
            for program in self.programs
            for op in program.ops
            if op.where == failure.where
            for value in (*op.values(), *op.outs)
            if value in labels.axes
        }
        found = {g for value in values for a in labels.axes[value] for g in units.groups_of(a)}
        return {units.groups[g].name for g in found}

    def _lines(self, group: Group) -> dict[tuple[str, ...], list[int]]:
        """Steps with the same readings left, by line of code, where some step of it touches the group."""
        labels, units = self._seen.labels, self._seen.units
        index = next(i for i, g in enumerate(units.groups) if g.name == group.name)
        steps = [op for program in self.programs for op in program.ops]
        left = [s for s, names in labels.options.items() if labels.taken[s] + 1 < len(names)]
        own = [s for s in left if any(index in units.groups_of(a) for a in labels.touched[s])]

        def kind(step: int) -> tuple[str, ...]:
            where = steps[step].where or f"step {step}"
            return (where, *labels.options[step][labels.taken[step] :])

        lines: dict[tuple[str, ...], list[int]] = {kind(s): [] for s in own}
        for step in left:
            if kind(step) in lines:
                lines[kind(step)].append(step)
        return lines

    def _advanced(self, steps: Sequence[int]) -> dict[int, int]:
        taken = self._seen.labels.taken
        return {**self.choices, **{step: taken[step] + 1 for step in steps}}

    def _passes_with(self, group: Group, steps: Sequence[int], test: Test | None) -> bool:
        """Whether what has become of the group passes when these steps are read differently."""
        graph, _ = self._propagated(self._advanced(steps))
        places = {(s.tensor, s.axis, int(p)) for s in group.slots_as("producer") for p in s.positions.ravel()}
        heirs = [
            g
            for g in graph.free
            if any(
                (s.tensor, s.axis, int(p)) in places
                for s in g.slots_as("producer")
                for p in s.positions.ravel()
            )
        ]
        return bool(heirs) and (test or self._try)(heirs, graph) is None

    def lock(self, group: Group, reason: str) -> None:
        """Lock a group by its places in the stored tensors, which stay when groups change."""
        for slot in group.slots_as("producer"):
            self.fixed.setdefault((slot.tensor, slot.axis), []).append((slot.positions.ravel(), reason))


def _widths(labels: Labels, units: Units) -> dict[int, set[int]]:
    """The lengths of all axes on which channels of a group lie, by the group's index."""
    found: dict[int, set[int]] = {}
    for axes in labels.axes.values():
        for axis in axes:
            for group in units.groups_of(axis):
                found.setdefault(group, set()).add(len(axis))  # type: ignore[arg-type]
    return found


def _sizes(graph: Graph | None) -> dict[str, int]:
    return {group.name: group.size for group in graph.free} if graph else {}


def _why_whole(labels: Labels, name: str, shape: tuple[int, ...]) -> str:
    """Why a weight is in no group."""
    first = labels.names.get((name, 0))
    if first is None:
        first = next(
            (labels.names[name, axis] for axis in range(len(shape)) if (name, axis) in labels.names), -1
        )
    reasons = [reason for atoms, reason in labels.locks if first >= 0 and (atoms == first).any()]
    if reasons:
        return reasons[0]
    if name not in labels.read:
        return "is not used on this input"
    return "has a single output channel" if shape[0] == 1 else "its channels are not made by a layer"


def _graph(labels: Labels, units: Units, model: nn.Module, shapes: Shapes) -> Graph:
    parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
    followers = []
    for f in labels.follows:
        if (
            labels.numbers.get(f.module, {}).get(f.attribute, len(f.array) // f.divisor)
            != len(f.array) // f.divisor
        ):
            continue  # a number of that name that counts something else
        real = f.array[f.array >= 0]
        group, place = units.group[units.of[real]], units.place[units.of[real]]
        fixed = len(f.array) - int((group >= 0).sum())
        followers.append(
            FollowedBy(f.module, f.attribute, f.divisor, fixed, group[group >= 0], place[group >= 0])
        )
    covered = {s.tensor for g in units.groups for s in g.slots}
    untouched = {
        name: _why_whole(labels, name, tuple(p.shape))
        for name, p in model.named_parameters()
        if p.dim() > 1 and name not in covered
    }
    costs = make_costs(labels, units, parameters)
    return Graph(units.groups, costs, shapes, tuple(followers), untouched, model)
