"""What may stand in a result.json: it may come from a stranger, and its numbers are printed and computed with."""

from __future__ import annotations

from typing import Any

from secateurs.checks import (
    Form,
    any_flag,
    any_number,
    any_prose,
    any_text,
    any_whole,
    list_of,
    map_of,
    maybe,
    record,
)
from secateurs.proof import proof_form
from secateurs.recover.progress import EPOCH

_MEASURES = record(
    (
        "accuracy",
        "accuracy_error",
        "samples",
        "latency_ms",
        "latency_spread_ms",
        "uncounted",
        "peak_elements",
    ),
    params=any_whole(),
    macs=any_whole(),
    accuracy=maybe(any_number),
    accuracy_error=maybe(any_number),
    samples=maybe(any_whole()),
    latency_ms=maybe(any_number),
    latency_spread_ms=maybe(any_number),
    uncounted=map_of(any_whole()),
    peak_elements=maybe(any_whole()),
)
_TIMING = record(
    batch=any_whole(), warmup=any_whole(), runs=any_whole(), device=any_text, threads=any_whole()
)
_PROOF = proof_form("problem", "places", "moved", "against")  # version 0.1 wrote none of them
_GROUP = record(
    name=any_text,
    size=any_whole(),
    kept=any_whole(),
    status=any_text,
    reason=maybe(any_prose),
    params=any_whole(),
    macs=any_whole(),
)
_BUDGETED = record(key=any_text, limit=any_number, before=any_number, after=any_number)
_COMPARED = record(
    method=any_text,
    repair=any_text,
    plain=maybe(any_number),
    repaired=any_number,
    held_out=any_number,
    chosen=any_flag,
)


def _setting(value: Any, place: str) -> None:
    """A setting of a config: text, a number, a flag, or shares by pattern."""
    if isinstance(value, dict):
        map_of(any_number)(value, place)
    elif isinstance(value, str):
        any_text(value, place)
    elif not isinstance(value, bool):
        any_number(value, place)


_ASKED = record(
    model=any_text,
    weights=maybe(any_text),
    data=maybe(any_text),
    inputs=list_of(any_text, most=8),
    config=map_of(_setting),
)


def _tuning_setting(value: Any, place: str) -> None:
    """A setting of a training: text, a number, a flag, or shares."""
    if isinstance(value, list):
        list_of(any_number)(value, place)
    elif value is not None:
        _setting(value, place)


_TUNED = record(settings=map_of(_tuning_setting), best=any_whole(), epochs=list_of(EPOCH))
RECORD: Form = record(
    ("remarks", "more_inputs", "comparison", "asked", "budgets", "budget", "tuned"),
    schema=any_whole(1),
    model=any_text,
    input_shape=list_of(any_whole(1), most=8, least=1),
    data=maybe(any_text),
    normalisation=maybe(record(mean=list_of(any_number), std=list_of(any_number))),
    method=any_text,
    allocate=any_text,
    compensate=any_text,
    recalibrated=any_flag,
    target=map_of(any_number),
    before=_MEASURES,
    after=_MEASURES,
    original=_MEASURES,
    latency=maybe(_TIMING),
    verification=_PROOF,
    groups=list_of(_GROUP),
    seconds=map_of(any_number),
    seed=any_whole(),
    versions=map_of(any_text),
    remarks=list_of(any_prose),
    more_inputs=list_of(list_of(any_whole(1), most=8, least=1)),
    comparison=list_of(_COMPARED),
    asked=maybe(_ASKED),
    budgets=list_of(_BUDGETED),
    budget=maybe(any_text),
    tuned=list_of(_TUNED),
)
