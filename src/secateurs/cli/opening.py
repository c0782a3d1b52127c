"""From the MODEL, --weights, --input and --device of a command to a network that is ready to run."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from secateurs.cli.options import shapes
from secateurs.errors import InputError

if TYPE_CHECKING:
    from secateurs.runs.source import Source

_KINDS = ("cpu", "cuda", "mps", "xpu")


def opened(
    model: str,
    *,
    weights: Path | None,
    inputs: list[str] | None,
    device: str,
    seed: int = 0,
    built_by: str | None = None,
    trust: bool = False,
) -> Source:
    """Build the network of a command, on its device; `cuda` is, under `torchrun`, that of the process's own number.

    Raises:
        InputError: The name, the weights, a shape or the device is not what it has to be.
    """
    from secateurs.runs.source import open_source

    local = os.environ.get("LOCAL_RANK")
    place = usable(f"cuda:{local}" if device == "cuda" and local is not None else device)
    given = shapes(inputs)
    source = open_source(
        model,
        weights=weights,
        input_shape=given[0] if given else None,
        seed=seed,
        built_by=built_by,
        trust=trust,
    )
    if given:
        source = dataclasses.replace(source, more_inputs=tuple(given[1:]))
    return dataclasses.replace(source, model=source.model.to(place))


def usable(name: str) -> torch.device:
    """The device of a `--device` option.

    Raises:
        InputError: There is no such device here.

    Example:
        >>> usable("cpu")
        device(type='cpu')
    """
    try:
        found = torch.device(name)
    except RuntimeError:
        found = None
    if found is None or found.type not in _KINDS:
        raise InputError(
            f"--device {name}: there is no such device; give one of {', '.join(_KINDS)}, or cuda:1"
        )
    if found.type == "cpu":
        return torch.device("cpu")
    missing = _missing(found)
    if missing:
        raise InputError(f"--device {name}: {missing}; leave the option out to use the CPU")
    return found


def _missing(device: torch.device) -> str | None:
    """Why a device cannot be used."""
    if device.type == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        return f"this torch ({torch.__version__}) has no CUDA"
    if device.type == "mps":
        return None if torch.backends.mps.is_available() else f"this torch ({torch.__version__}) finds no MPS"
    module = torch.cuda if device.type == "cuda" else torch.xpu
    if not module.is_available():
        return "no such device or no driver for it is found"
    count = module.device_count()
    if device.index is not None and device.index >= count:
        return f"there {'is' if count == 1 else 'are'} {count} of them, counted from 0"
    return None
