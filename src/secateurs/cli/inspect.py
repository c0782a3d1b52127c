"""`secateurs inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from secateurs.cli.console import say, table, write_json
from secateurs.cli.listing import Listing
from secateurs.cli.options import BuiltBy, Device, Input, Json, Model, Trust, Weights, quiet
from secateurs.cli.progress import Bars

if TYPE_CHECKING:
    from secateurs.report.structure import Structure

NAMES = 3
"""Layers that are named per cell; the JSON names them all."""


def inspect(
    model: Model,
    weights: Weights = None,
    input_shape: Input = None,
    device: Device = "cpu",
    as_json: Json = None,
    built_by: BuiltBy = None,
    trust: Trust = False,
) -> None:
    """Show which channels leave together, through what, and which may not leave and why."""
    from secateurs.cli.opening import opened
    from secateurs.report.structure import structure

    with Bars() as bars, bars.working("tracing"):
        source = opened(
            model, weights=weights, inputs=input_shape, device=device, built_by=built_by, trust=trust
        )
        found = structure(source.model, source.example())
    if as_json is not None:
        write_json(found.to_json(model), as_json)
    if not quiet(as_json):
        say(*_parts(model, found))


def _parts(model: str, found: Structure) -> Iterator[str | Listing]:
    free = [group for group in found.groups if group.locked is None]
    locked = [group for group in found.groups if group.locked is not None]
    shapes = " and ".join(str(shape) for shape in (found.input_shape, *found.more_inputs))
    yield (
        f"{model}, input {shapes}: {found.params:,} parameters, {found.macs:,} MACs; "
        f"{len(free)} groups of coupled channels may be pruned, {len(locked)} may not"
    )
    yield found.share
    if free:
        columns = ("group", "leaves together with", "through", "read by", "channels", "parameters", "MACs")
        rows = [
            (
                group.name,
                _some([name for name in (*group.producers, *group.carriers) if name != group.name]),
                _some(group.through),
                _some(group.consumers),
                str(group.size),
                f"{group.params:,}",
                f"{group.macs:,}",
            )
            for group in free
        ]
        yield table("\nMay be pruned", columns, rows, left=4)
    if locked:
        names = ("group", "locked because it", "channels", "parameters", "MACs")
        cells = [(g.name, g.locked or "", str(g.size), f"{g.params:,}", f"{g.macs:,}") for g in locked]
        yield table("\nMay not be pruned", names, cells, left=2)
    if found.untouched:
        yield table("\nIn no group", ("tensor", "why"), list(found.untouched.items()), left=2)
    if found.uncounted:
        calls = ", ".join(f"{name} ({count})" for name, count in found.uncounted.items())
        yield f"\nNot counted as MACs: {calls}"


def _some(names: Sequence[str]) -> str:
    more = f" + {len(names) - NAMES}" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
