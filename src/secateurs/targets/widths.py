"""Widths that run fast: of how many units each group keeps a multiple."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from secateurs.allocate.sequence import Multiple
from secateurs.checks import check_multiple
from secateurs.contracts import IntArray

RoundTo: TypeAlias = int | Literal["auto"]
"""A multiple for all groups (1: free widths), or "auto", where each group has its own."""

FREE = 1
"""Every width is one of it."""
FAST = (8, 16, 32)
"""Kernels take channels in registers and tiles of so many, and fill up what is less."""
MOST = 0.05
"""Share of a group's units by which rounding may move its width at most."""


def multiples(round_to: RoundTo, sizes: IntArray) -> Multiple:
    r"""Of how many units each group keeps a multiple.

    Rounding to the nearest moves a width by half a multiple at most. So "auto" gives a group of n units

    $$ \max \{ m \in \{8, 16, 32\} : m / 2 \le n / 20 \}, $$

    the largest that does so by no more than 5 % of its units: 8 from 80 units, 16 from 160, 32 from 320. Groups with
    fewer than 80 stay free: in a group of 64, 8 is a step of an eighth, and what rounding takes from one group and
    gives another is no longer small beside what an allocation decides.

    Args:
        round_to: The multiple of all, or "auto".
        sizes: Units of every group.

    Returns:
        One number for all groups, or one for each, shape (groups,).

    Raises:
        InputError: It is neither "auto" nor a whole number from 1.

    Example:
        >>> multiples("auto", np.array([64, 80, 160, 320, 2048])).tolist()
        [1, 8, 16, 32, 32]
    """
    found = check_multiple("round_to", round_to)
    if found != "auto":
        return found
    each = np.full(sizes.shape, FREE, dtype=np.int64)
    for multiple in FAST:
        each[multiple / 2 <= MOST * sizes] = multiple
    return each if (each > FREE).any() else FREE
