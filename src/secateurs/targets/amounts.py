"""Budgets as devices state them, read from what a user gives: `0.5`, `30e6`, `"30M"`, `"128kB:int8"`, `"dcase2025"`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from secateurs.checks import check_number, shown
from secateurs.errors import InputError
from secateurs.targets.base import check_stays

PRECISIONS = {"fp32": 4, "fp16": 2, "int8": 1}
"""Bytes of one number."""
_THOUSANDS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_WORDS = {
    "macs": "MACs",
    "params": "parameters",
    "keep": "prunable channels",
    "size": "bytes of parameters",
    "peak_memory": "bytes of activations at once",
    "torchinfo_macs": "MACs as torchinfo counts them",
}
_COUNTED = "a share in (0, 1] or a number such as 30M"
_STORED = "a share in (0, 1] or bytes such as 128kB or 128kB:int8 (fp32, fp16 or int8)"
PRESETS = ("dcase2025",)
_TEXT = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Limit:
    """The most that a network may cost in one respect.

    Attributes:
        name: Which cost: "macs", "params", "keep", "size", "peak_memory", or "torchinfo_macs" (see `element_uses`).
        value: A share of what the network cost before, or the most itself.
        share: Which of the two.
        precision: For bytes: how a number is stored, "fp32", "fp16" or "int8".

    Example:
        >>> Limit("size", 128_000, precision="int8").key
        'size:int8'
    """

    name: str
    value: float
    share: bool = False
    precision: str = "fp32"

    @property
    def key(self) -> str:
        """What it is called on record."""
        stored = self.name in ("size", "peak_memory")
        return f"{self.name}:{self.precision}" if stored and not self.share else self.name

    @property
    def bytes_each(self) -> int:
        """What one element counts: its bytes, or 1 where elements are counted."""
        return PRECISIONS[self.precision] if self.name in ("size", "peak_memory") else 1


def in_words(key: str) -> str:
    """What a limit is about, in words.

    Example:
        >>> in_words("size:int8"), in_words("macs"), in_words("units")
        ('bytes of parameters at int8', 'MACs', 'units')
    """
    name, _, precision = key.partition(":")
    return _WORDS.get(name, name) + (f" at {precision}" if precision else "")


def limit_given(name: str, value: Any) -> Limit:
    """The limit that a value means: a share in (0, 1], or what it says itself.

    Args:
        name: "macs", "params", "keep", "size" or "peak_memory".
        value: A number, or text: a number with `k`, `M` or `G`; for bytes, with `B`, `kB`, `MB`, `KiB`, `MiB`, and then
            `:fp32` (the default), `:fp16` or `:int8`. 1 kB is 1,000 bytes.

    Raises:
        InputError: It is none of these; says what to give.

    Example:
        >>> limit_given("macs", "30M").value, limit_given("size", "1.5KiB:int8").value, limit_given("macs", 0.5).share
        (30000000.0, 1536.0, True)
    """
    if not isinstance(value, str) or name == "keep":
        return _of_number(name, value)
    stored = name in ("size", "peak_memory")
    amount, colon, precision = value.partition(":")
    found = _TEXT.fullmatch(amount)
    wrong = InputError(f"{name} is {shown(value)}; give {_STORED if stored else _COUNTED}.")
    if colon and (not stored or precision not in PRECISIONS):
        raise wrong
    try:  # decimal, for 4.03 thousand are 4,030 and not a little more
        number = Decimal(found[1]) if found else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    unit = found[2].lower() if found else ""
    if not math.isfinite(float(number)):
        raise wrong
    if not unit and 0 < float(number) <= 1 and not colon:
        return Limit(name, float(number), share=True)
    scale = ({"": 1, **_BYTES} if stored else _THOUSANDS).get(unit)
    value = math.nan if scale is None else float(number * scale)
    if not 1 <= value < math.inf:
        raise wrong
    return Limit(name, value, precision=precision or "fp32")


def in_short(value: float) -> str:
    """A share, or an amount with its thousands, exactly.

    Example:
        >>> in_short(0.5), in_short(30e6), in_short(1.25e6), in_short(1_493_632)
        ('0.5', '30M', '1.25M', '1,493,632')
    """
    if value <= 1:
        return f"{value:g}"
    for letter, unit in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if unit <= value < 1000 * unit and value % (unit // 1000) == 0:
            return f"{value / unit:g}{letter}"
    return f"{value:,.0f}"


def _of_number(name: str, value: Any) -> Limit:
    number = check_number(name, value)
    if name != "keep" and number > 1 and math.isfinite(number) and number % 1 == 0:
        return Limit(name, number)
    check_stays(name, value)
    return Limit(name, number, share=True)


def preset(value: Any) -> tuple[Limit, ...]:
    """The limits of a budget that has a name.

    `dcase2025`, task 1: 128,000 bytes of parameters (1 kB is 1,000 bytes) and 30 million MACs for a clip of one
    second, as the organisers' helper counts them: multiply-adds with torchinfo (`element_uses`), and every parameter at
    its own precision. Without `:fp16` or `:int8` that is fp32, at which the smaller network is written; say how an
    entry will be stored. The example has to be the input of one clip.

    Raises:
        InputError: There is none of that name, or no such precision.

    Example:
        >>> [(limit.key, limit.value) for limit in preset("dcase2025:int8")]
        [('torchinfo_macs', 30000000.0), ('size:int8', 128000.0)]
    """
    name, colon, precision = str(value).partition(":")
    if not isinstance(value, str) or name not in PRESETS or (colon and precision not in PRECISIONS):
        raise InputError(
            f"budget is {shown(value)}; give {', '.join(PRESETS)}, at fp32 or with :fp16 or :int8 behind it."
        )
    return (
        Limit("torchinfo_macs", 30e6),
        Limit("size", 128e3, precision=precision or "fp32"),
    )
