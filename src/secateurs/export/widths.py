"""Widths of convolutions that ONNX Runtime's int8 is slow with."""

from __future__ import annotations

from pathlib import Path

MULTIPLE = 4
"""Channels that int8 convolutions of ONNX Runtime gain by on x86: measured, see docs/int8_widths.md."""
_NAMED = 3


def odd_widths(path: Path | str, multiple: int = MULTIPLE) -> tuple[dict[str, int], int]:
    """Convolutions of a float ONNX file whose filters are no multiple of some number, and how many there are in all.

    Depthwise and other grouped convolutions do not count, nor those that give an output of the network, whose width is
    not for choosing.

    Args:
        path: The file.
        multiple: The number.

    Returns:
        Filters by the name of the weights, and the number of convolutions.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    filters = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) > 2}
    outputs = {out.name for out in graph.output}
    found, total = {}, 0
    for node in graph.node:
        grouped = any(a.name == "group" and a.i > 1 for a in node.attribute)
        if node.op_type != "Conv" or grouped or node.input[1] not in filters or node.output[0] in outputs:
            continue
        total += 1
        if filters[node.input[1]] % multiple:
            found[node.input[1]] = int(filters[node.input[1]])
    return found, total


def about_widths(path: Path | str) -> str | None:
    """A remark on the widths of a float file that is brought to int8, or None where they are as they should be."""
    odd, total = odd_widths(path)
    if not odd:
        return None
    some = ", ".join(f"{name.removesuffix('.weight')} {size}" for name, size in list(odd.items())[:_NAMED])
    more = ", ..." if len(odd) > _NAMED else ""
    return (
        f"{len(odd)} of {total} convolutions have a number of filters that is no multiple of {MULTIPLE} "
        f"({some}{more}), which ONNX Runtime's int8 is slower with on x86 than with the next larger one "
        "(docs/int8_widths.md): prune "
        f"with --round-to {MULTIPLE}"
    )
