"""Integer attributes of modules: sizes may be among them, and follow when channels leave."""

from __future__ import annotations

from typing import Any

from torch import nn


def numbers_of(module: nn.Module) -> dict[str, int]:
    """Integer attributes of a module, and those in its lists and tuples as `name.index`; sizes may be among them."""
    found: dict[str, int] = {}
    for name, value in vars(module).items():
        if name in _HYPERPARAMETERS or name.startswith("_"):
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
        elif isinstance(value, (list, tuple)) and value and all(type(v) is int for v in value):
            found.update({f"{name}.{i}": v for i, v in enumerate(value)})
    return found


_HYPERPARAMETERS = {"kernel_size", "stride", "padding", "output_padding", "dilation", "training"}


def number_of(module: nn.Module, attribute: str) -> int | None:
    """The integer that `set_number` would replace: an attribute, or one entry (`name.index`) of a list or tuple.

    Returns:
        None where there is no such integer, or where it is nothing that depends on widths.

    Example:
        >>> number_of(nn.Conv2d(4, 4, 3, groups=2), "groups"), number_of(nn.Conv2d(4, 4, 3), "kernel_size.0")
        (2, None)
    """
    name, _, index = attribute.partition(".")
    if name in _HYPERPARAMETERS or name.startswith("_"):
        return None
    value: Any = getattr(module, name, None)
    if index:
        inside = isinstance(value, (list, tuple)) and index.isdecimal() and len(index) < 9
        value = value[int(index)] if inside and int(index) < len(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def set_number(module: nn.Module, attribute: str, value: int) -> None:
    """Set an integer attribute, or one entry (`name.index`) of a list or tuple of them; leave others alone."""
    if number_of(module, attribute) is None:
        return
    name, _, index = attribute.partition(".")
    old = getattr(module, name)
    if not index:
        setattr(module, name, value)
        return
    items = list(old)
    items[int(index)] = value
    setattr(module, name, type(old)(items))
