"""A plan: which units stay, and all that is needed to repeat the cut on a freshly built model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from secateurs.contracts import IntArray
from secateurs.errors import InputError

VERSION = 1


@dataclass(frozen=True)
class Step:
    """One cut: positions that stay, by tensor and axis; attributes to set; parameters to add first.

    `shapes` are the shapes the tensors must have before the cut, so that a wrong network is noticed.
    `added` names biases that a repair gave to layers without one, with their length after the cut. `frames` are
    put around these convolutions before the cut, and `folds` take parts of frames away again after it.
    """

    slices: Mapping[str, Mapping[int, tuple[int, ...]]]
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)
    frames: tuple[str, ...] = ()
    folds: Mapping[str, str] = field(default_factory=dict)


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

    def folded(self, folds: Mapping[str, str]) -> Plan:
        """This plan, after which frames are folded; itself where there is nothing to fold."""
        return replace(self, steps=(*self.steps, Step({}, {}, folds=dict(folds)))) if folds else self

    @property
    def folds(self) -> Mapping[str, str]:
        """Frames that the last step folds."""
        return self.steps[-1].folds if self.steps else {}

    def unfolded(self) -> Plan:
        """This plan up to the fold of its frames, which is where repairs take place."""
        return replace(self, steps=self.steps[:-1]) if self.folds else self

    def to_json(self) -> str:
        """Versioned JSON; positions are written as they are, sorted."""
        return json.dumps({"format": "secateurs.plan", "version": VERSION, **_encode(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan back.

        Raises:
            InputError: not a plan, or of a newer version.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("format") != "secateurs.plan":
                raise InputError(
                    "plan: this is not a secateurs plan (no format 'secateurs.plan'); give a plan.json."
                )
            if data["version"] > VERSION:
                raise InputError(
                    f"plan: version {data['version']} is newer than {VERSION}, the newest known here; update secateurs."
                )
            return _decode(data)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"plan: it cannot be read ({error}); give a plan.json written by secateurs."
            ) from error

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


def _decode(data: dict[str, Any]) -> Plan:
    steps = tuple(
        Step(
            {t: {int(a): tuple(p) for a, p in axes.items()} for t, axes in step["slices"].items()},
            {t: tuple(shape) for t, shape in step["shapes"].items()},
            step["attributes"],
            step["added"],
            tuple(step["frames"]),
            dict(step.get("folds", {})),
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
