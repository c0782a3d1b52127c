"""What a run was asked, what it did and what came of it: the content of result.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateurs.checks import parsed, read_text, shown
from secateurs.errors import InputError
from secateurs.pipeline import GroupReport
from secateurs.report.record_form import RECORD
from secateurs.surgery import Verification
from secateurs.targets import Budgeted
from secateurs.targets.amounts import PRECISIONS

SCHEMA = 1


@dataclass(frozen=True)
class Measures:
    """One network in numbers.

    `macs` are multiply-adds for one sample. `accuracy` is a share of 1 on `samples` test samples, with its
    standard error; None where there was no data. `latency_ms` is the fastest of many runs at batch 1,
    `latency_spread_ms` the range of the three fastest and `latency_one_thread_ms` the time on one thread; each
    is None where the machine was too busy to tell. `uncounted` lists the operations that no counter has a
    formula for, with the number of calls. `peak_elements` are alive at
    once for one sample: bytes at int8, four times as many at float32 (see `graph.memory.ActivationMemory`).
    """

    params: int
    macs: int
    accuracy: float | None = None
    accuracy_error: float | None = None
    samples: int | None = None
    latency_ms: float | None = None
    latency_spread_ms: float | None = None
    uncounted: Mapping[str, int] = field(default_factory=dict)
    latency_one_thread_ms: float | None = None
    peak_elements: int | None = None


@dataclass(frozen=True)
class Timing:
    """How latency was measured, and the `reason` where it could not be."""

    batch: int
    warmup: int
    runs: int
    device: str
    threads: int
    reason: str | None = None

    def __str__(self) -> str:
        """How to read a latency, for below a table."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        how = (
            f"fastest of {self.runs} runs and spread of the three fastest, batch {self.batch}, after "
            f"{self.warmup} runs of warm-up, {threads} on {self.device}"
        )
        return f"not measurable now: {self.reason} ({how})" if self.reason else how


def at_places(number: int) -> str:
    """At how many places a proof has compared, in words; nothing where the record does not say.

    Example:
        >>> at_places(12), at_places(0)
        (' at 12 places', '')
    """
    return f" at {number} places" if number else ""


@dataclass(frozen=True)
class Compared:
    """One of several ways to the same target, as the demo compares them.

    Accuracies are shares of 1: `plain` on test samples as removal left the network (None where repair is part of the
    way), `repaired` on test samples at the end, `held_out` on training samples that neither training nor repair saw.
    `chosen` marks the way that the run took.
    """

    method: str
    repair: str
    plain: float | None
    repaired: float
    held_out: float
    chosen: bool


@dataclass(frozen=True)
class Record:
    """One run of `secateurs prune`, as result.json holds it.

    `model` is the network as the user named it, `input_shape` includes the batch axis, `more_inputs` are the
    shapes of the second and further inputs, `normalisation` is what images of `data` were normalised with.
    `original` holds the costs of the unpruned network where this run started from one that had been pruned before;
    shares in `target` are of `before`. `comparison` holds the rows of the demo, `asked` the command that repeats the
    run: its model, weights, data, inputs and config. `budgets` is what came of each budget, `budget` their
    name. `tuned` holds the trainings: settings, epochs, the best of them.
    """

    model: str
    input_shape: tuple[int, ...]
    data: str | None
    normalisation: Mapping[str, Any] | None
    method: str
    allocate: str
    compensate: str
    recalibrated: bool
    target: Mapping[str, float]
    before: Measures
    after: Measures
    original: Measures
    latency: Timing | None
    verification: Verification
    groups: tuple[GroupReport, ...]
    seconds: Mapping[str, float]
    seed: int
    versions: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    more_inputs: tuple[tuple[int, ...], ...] = ()
    comparison: tuple[Compared, ...] = ()
    asked: Mapping[str, Any] | None = None
    budgets: tuple[Budgeted, ...] = ()
    budget: str | None = None
    tuned: tuple[Mapping[str, Any], ...] = ()
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The text of result.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Record:
        """Read what `to_json` wrote.

        Args:
            text: The JSON.
            where: The file it came from, for the message.

        Raises:
            InputError: It is no JSON, of a later version, or lacks something.
        """
        try:
            raw = parsed(text, where)
            if not isinstance(raw, dict):
                raise TypeError("it holds no object")
            if raw.get("schema") != SCHEMA:
                raise InputError(
                    f"{where}: has version {shown(raw.get('schema'))}, this secateurs reads version {SCHEMA}; "
                    "use the release that wrote it"
                )
            RECORD(raw, "")
            return cls(
                **{
                    **raw,
                    "input_shape": tuple(raw["input_shape"]),
                    **{key: Measures(**raw[key]) for key in ("before", "after", "original")},
                    "latency": None if raw["latency"] is None else Timing(**raw["latency"]),
                    "verification": _proof(raw["verification"]),
                    "remarks": tuple(raw.get("remarks", ())),
                    "more_inputs": tuple(tuple(shape) for shape in raw.get("more_inputs", ())),
                    "tuned": tuple(raw.get("tuned", ())),
                    "comparison": tuple(Compared(**row) for row in raw.get("comparison", ())),
                    "budgets": tuple(Budgeted(**one) for one in raw.get("budgets", ())),
                    "groups": tuple(GroupReport(**group) for group in raw["groups"]),
                }
            )
        except (ValueError, TypeError, KeyError) as problem:
            raise InputError(
                f"{where}: is not a result of secateurs ({str(problem)[:300]}); name a folder that "
                "`secateurs prune` wrote"
            ) from problem

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The record in an output folder.

        Raises:
            InputError: The file is missing or is not a record.
        """
        path = folder / "result.json"
        try:
            return cls.from_json(read_text(path), str(path))
        except (OSError, UnicodeDecodeError) as problem:
            raise InputError(
                f"{path}: cannot be read ({problem}); name a folder that `secateurs prune` wrote"
            ) from problem


def _proof(raw: Mapping[str, Any]) -> Verification:
    return Verification(**{**raw, "inputs": tuple(raw["inputs"])})


def share(part: float, whole: float) -> str:
    """What stays, in per cent.

    Example:
        >>> share(1, 3)
        '33.3 %'
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def peak_bytes(elements: int | None, precision: str) -> str:
    """Bytes of activations alive at once.

    Example:
        >>> peak_bytes(1000, "fp32"), peak_bytes(None, "int8")
        ('4,000 B', '-')
    """
    return "-" if elements is None else f"{elements * PRECISIONS[precision]:,} B"


def percent(accuracy: float | None, error: float | None) -> str:
    """An accuracy with its standard error, both in per cent.

    Example:
        >>> percent(0.9339, 0.00248), percent(None, None)
        ('93.39 ± 0.25 %', '-')
    """
    if accuracy is None:
        return "-"
    return f"{100 * accuracy:.2f} ± {100 * error:.2f} %" if error is not None else f"{100 * accuracy:.2f} %"


def milliseconds(best: float | None, spread: float | None) -> str:
    """A latency with the range of the three fastest runs.

    Example:
        >>> milliseconds(12.345, 0.21), milliseconds(None, None)
        ('12.35 ms (spread 0.21)', 'not measurable now')
    """
    if best is None:
        return "not measurable now"
    return f"{best:.2f} ms (spread {spread:.2f})" if spread is not None else f"{best:.2f} ms"
