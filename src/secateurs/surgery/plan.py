"""A plan: which units stay, and all that is needed to repeat the cut on a freshly built model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from secateurs.checks import (
    Form,
    any_number,
    any_text,
    any_whole,
    ascending,
    list_of,
    map_of,
    one_of,
    parsed,
    record,
    shown,
)
from secateurs.contracts import IntArray
from secateurs.errors import InputError
from secateurs.layers.frame import FOLDS

FORMAT = "secateurs.plan"
VERSION = 1
MOST_STEPS = 1000


def _axis(name: Any, place: str) -> None:
    if not isinstance(name, str) or len(name) != 1 or name not in "01234567":
        raise ValueError(f"{place} is {shown(name)} and has to be an axis, as in '0'")


_STEP = record(
    ("folds", "plain"),  # older files have none
    slices=map_of(map_of(ascending, key=_axis)),
    shapes=map_of(list_of(any_whole(), most=8)),
    attributes=map_of(map_of(any_whole())),
    added=map_of(any_whole(1)),
    frames=list_of(any_text),
    folds=map_of(one_of(*FOLDS)),
    plain=list_of(any_text),
)
FORM: Form = record(
    format=one_of(FORMAT),
    version=any_whole(1, VERSION),
    method=any_text,
    target=map_of(any_number),
    predicted=map_of(any_number),
    sizes=map_of(any_whole()),
    kept=map_of(ascending),
    steps=list_of(_STEP, most=MOST_STEPS),
)


@dataclass(frozen=True)
class Step:
    """One cut: positions that stay, by tensor and axis; attributes to set; parameters to add first.

    `shapes` are the shapes the tensors must have before the cut, so that a wrong network is noticed.
    `added` names biases that a repair gave to layers without one, with their length after the cut. `frames` are
    put around these convolutions before the cut, and `folds` take parts of frames away again after it. `plain` are
    convolutions that standardise their weights and become plain ones before the cut.
    """

    slices: Mapping[str, Mapping[int, tuple[int, ...]]]
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    frames: tuple[str, ...] = ()
    folds: Mapping[str, str] = field(default_factory=dict)
    plain: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What `remove` carries out: frozen, printable, JSON; the model is untouched until then.

    `kept` lists the units that stay by group, `sizes` how many there were. `steps` holds one cut per
    round of pruning, so that a network pruned twice is still rebuilt from the original class.
    """

    kept: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]
    steps: tuple[Step, ...]
    method: str = ""
    target: Mapping[str, float] = field(default_factory=dict)
    predicted: Mapping[str, int] = field(default_factory=dict)

    def then(self, later: Plan) -> Plan:
        """This plan followed by another that was made on its result."""
        return replace(later, steps=self.steps + later.steps)

    def with_added(self, added: Mapping[str, int]) -> Plan:
        """The same plan with biases that a repair adds after its last cut."""
        last = replace(self.steps[-1], added={**self.steps[-1].added, **added})
        return replace(self, steps=(*self.steps[:-1], last))

    def cuts(self) -> Plan:
        """This plan up to its last cut, which is where repairs take place."""
        return replace(self, steps=self.steps[:-1]) if self.folds else self

    def ended_as(self, other: Plan) -> Plan:
        """These cuts, followed by what another plan does after its own."""
        return replace(self, steps=self.steps + other.steps[len(other.cuts().steps) :])

    @property
    def folds(self) -> Mapping[str, str]:
        """Frames that the last step folds."""
        return self.steps[-1].folds if self.steps else {}

    def to_json(self, indent: int | None = 1) -> str:
        """Versioned JSON; positions are written as they are, sorted."""
        return json.dumps({"format": FORMAT, "version": VERSION, **_encode(self)}, indent=indent)

    @classmethod
    def from_json(cls, text: str, where: str = "plan") -> Plan:
        """Read a plan back, from text that anybody may have written.

        Args:
            text: What `to_json` wrote.
            where: The file it came from, for the message.

        Raises:
            InputError: Not a plan, of a newer version, or not of the form that a plan has.
        """
        data = parsed(text, where)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(
                f"{where}: this is not a secateurs plan (no format '{FORMAT}'); give a plan.json."
            )
        version = data.get("version")
        if isinstance(version, int) and version > VERSION:
            raise InputError(
                f"{where}: version {shown(version)} is newer than {VERSION}, the newest known here; update secateurs."
            )
        _check(data, where)
        return _decode(data)

    def check(self, where: str = "plan") -> None:
        """Make sure that everything in this plan is of the type and in the order that it has to be.

        Raises:
            InputError: It is not; says where.

        Example:
            >>> Plan({"conv": (0, 2)}, {"conv": 3}, ()).check()
        """
        try:
            data = {"format": FORMAT, "version": VERSION, **_encode(self)}
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{where}: it is damaged ({shown(str(error), 120)}); give what secateurs.plan makes."
            ) from error
        _check(data, where)

    def __str__(self) -> str:
        lines = [f"{'group':40} {'kept':>6} {'of':>6}"]
        for name, size in self.sizes.items():
            lines.append(f"{name:40} {len(self.kept.get(name, range(size))):6d} {size:6d}")
        return "\n".join(lines)


def _encode(plan: Plan) -> dict[str, Any]:
    steps = [
        {
            "slices": {t: {str(a): list(p) for a, p in axes.items()} for t, axes in step.slices.items()},
            "shapes": {t: list(shape) for t, shape in step.shapes.items()},
            "attributes": {m: dict(v) for m, v in step.attributes.items()},
            "added": dict(step.added),
            "frames": list(step.frames),
            "folds": dict(step.folds),
            "plain": list(step.plain),
        }
        for step in plan.steps
    ]
    return {
        "method": plan.method,
        "target": dict(plan.target),
        "predicted": dict(plan.predicted),
        "sizes": dict(plan.sizes),
        "kept": {name: list(units) for name, units in plan.kept.items()},
        "steps": steps,
    }


def _check(data: dict[str, Any], where: str) -> None:
    """The form of everything in a plan, and that every group keeps units that it has."""
    try:
        FORM(data, "")
        for name, units in data["kept"].items():
            size = data["sizes"].get(name)
            if size is None or units[-1] >= size:
                raise ValueError(
                    f"kept.{shown(name)} keeps unit {units[-1]} of {size or 'a group without a size'}"
                )
    except ValueError as error:
        raise InputError(f"{where}: it is damaged: {error}; give one that secateurs wrote.") from error


def _decode(data: dict[str, Any]) -> Plan:
    steps = tuple(
        Step(
            {t: {int(a): tuple(p) for a, p in axes.items()} for t, axes in step["slices"].items()},
            {t: tuple(shape) for t, shape in step["shapes"].items()},
            step["attributes"],
            step["added"],
            tuple(step["frames"]),
            step.get("folds", {}),
            tuple(step.get("plain", ())),
        )
        for step in data["steps"]
    )
    kept = {name: tuple(units) for name, units in data["kept"].items()}
    return Plan(kept, data["sizes"], steps, data["method"], data["target"], data["predicted"])


def make_step(
    slices: Mapping[str, Mapping[int, IntArray]], shapes: Mapping[str, tuple[int, ...]], **more: Any
) -> Step:
    """A step from arrays of positions."""
    plain = {t: {a: tuple(np.asarray(p).tolist()) for a, p in axes.items()} for t, axes in slices.items()}
    return Step(plain, {t: tuple(shapes[t]) for t in plain}, **more)
