"""The numbers of a run as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from secateurs.cli.console import table
from secateurs.cli.listing import Listing
from secateurs.pipeline import GroupReport
from secateurs.report.page import groups_sentence, points, target_sentence, trained
from secateurs.report.record import (
    Measures,
    Record,
    at_places,
    milliseconds,
    peak_bytes,
    percent,
    share,
)
from secateurs.surgery import Verification
from secateurs.targets.budgets import within

REASONS = 8
"""Reasons for locks that are printed; result.json and the page have them all."""


def after_run(record: Record) -> Iterator[str | Listing]:
    """What `secateurs prune` prints: target, before and after, proof, locks."""
    yield f"{record.model}, {made_with(record)}, asked: {target_sentence(record.target)}"
    yield table("", ("", "before", "after", "stays"), list(_rows(record)))
    if record.latency is not None:
        yield f"latency: {record.latency}"
    if record.budgets:
        yield within(record.budget or "", record.budgets)
    yield proof(record.verification)
    yield f"groups: {groups_sentence(record.groups)}"
    yield from locks(record.groups)


def made_with(record: Record) -> str:
    """Method, allocation and repair in a few words."""
    parts = [record.method, f"{record.allocate} allocation"]
    if record.compensate != "none":
        parts.append(f"{record.compensate} repair")
    if record.recalibrated:
        parts.append("batch norm recalibrated")
    if record.tuned:
        parts.append(trained(record))
    return ", ".join(parts)


def _rows(record: Record) -> Iterator[tuple[str, str, str, str]]:
    before, after = record.before, record.after
    yield "parameters", f"{before.params:,}", f"{after.params:,}", share(after.params, before.params)
    yield "MACs", f"{before.macs:,}", f"{after.macs:,}", share(after.macs, before.macs)
    for precision in ("fp32", "int8"):
        old, new = (peak_bytes(one.peak_elements, precision) for one in (before, after))
        if old != "-":
            stays = share(after.peak_elements or 0, before.peak_elements or 0)
            yield f"peak activations, {precision}", old, new, stays
    if before.accuracy is not None and after.accuracy is not None:
        change = points(100 * (after.accuracy - before.accuracy))
        old = percent(before.accuracy, before.accuracy_error)
        yield "accuracy", old, percent(after.accuracy, after.accuracy_error), change
    if record.latency is not None:
        old = milliseconds(before.latency_ms, before.latency_spread_ms)
        new = milliseconds(after.latency_ms, after.latency_spread_ms)
        known = before.latency_ms is not None and after.latency_ms is not None
        yield "latency", old, new, share(after.latency_ms or 0, before.latency_ms or 0) if known else "-"


def proof(verification: Verification) -> str:
    """The verification in one line."""
    verdict = "passed" if verification.passed else "FAILED"
    inputs = " and ".join(verification.inputs)
    return (
        f"proof: {verdict}; before repair, the smaller network equals the silenced original to "
        f"{verification.max_rel_diff:.1e} of the range{at_places(verification.places)} "
        f"({verification.precision}, {inputs} input, limit {verification.tolerance:.0e})"
    )


def saved(out: Path) -> str:
    """What was checked of the written folder, in one line."""
    return f"saved: {out / 'model.safetensors'}, loaded anew, is bit-equal to the network in memory, repair included"


def locks(groups: Iterable[GroupReport]) -> Iterator[str]:
    """One line per reason for which groups are locked, the most frequent first."""
    reasons = Counter(group.reason or "no reason given" for group in groups if group.status == "locked")
    for reason, count in reasons.most_common(REASONS):
        yield f"  locked, {count}: {reason}"
    if len(reasons) > REASONS:
        yield f"  and {len(reasons) - REASONS} more reasons; result.json and report.html have them all"


def measured(measures: Measures) -> Iterator[tuple[str, str]]:
    """The rows of `secateurs evaluate`."""
    yield "parameters", f"{measures.params:,}"
    yield "MACs", f"{measures.macs:,}"
    if measures.accuracy is not None:
        yield measured_accuracy(measures.accuracy, measures.accuracy_error, measures.samples)
    yield "latency", milliseconds(measures.latency_ms, measures.latency_spread_ms)


def measured_accuracy(value: float, error: float | None, samples: int | None) -> tuple[str, str]:
    """The row of an accuracy.

    Example:
        >>> measured_accuracy(0.5, 0.05, 100)
        ('accuracy', '50.00 ± 5.00 % on 100 test samples')
    """
    return "accuracy", f"{percent(value, error)} on {samples or 0:,} test samples"
