"""`secateurs inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from secateurs.cli.console import say, table, write_json
from secateurs.cli.listing import Listing
from secateurs.cli.options import BuiltBy, Device, Input, Json, Model, Trust, Weights, quiet
from secateurs.cli.progress import Bars

if TYPE_CHECKING:
    from secateurs.report.structure import Structure


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
    from secateurs.graph.described import FREE, LOCKED
    from secateurs.report.record import peak_bytes

    free = [group for group in found.groups if group.locked is None]
    locked = [group for group in found.groups if group.locked is not None]
    shapes = " and ".join(str(shape) for shape in (found.input_shape, *found.more_inputs))
    yield (
        f"{model}, input {shapes}: {found.params:,} parameters, {found.macs:,} MACs; "
        f"{len(free)} groups of coupled channels may be pruned, {len(locked)} may not"
    )
    if found.peak_elements is not None:
        yield (
            f"peak activations of one sample: {peak_bytes(found.peak_elements, 'fp32')} at float32, "
            f"{peak_bytes(found.peak_elements, 'int8')} at int8"
        )
    yield found.share
    if free:
        yield table("\nMay be pruned", FREE, [group.cells() for group in free], left=4)
    if locked:
        yield table("\nMay not be pruned", LOCKED, [group.cells() for group in locked], left=2)
    if found.untouched:
        yield table("\nIn no group", ("tensor", "why"), list(found.untouched.items()), left=2)
    if found.uncounted:
        calls = ", ".join(f"{name} ({count})" for name, count in found.uncounted.items())
        yield f"\nNot counted as MACs: {calls}"
