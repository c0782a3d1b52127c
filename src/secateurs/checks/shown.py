"""What somebody else wrote, made short enough for a message."""

from __future__ import annotations

from typing import Any

import torch

LONGEST = 80


def shown(value: Any, longest: int = LONGEST) -> str:
    r"""A value as it may stand in a message: text in quotes, numbers as they are, others by their type.

    Args:
        value: Anything; a file's or a caller's.
        longest: Characters at most; what is cut off is marked with "...".

    Returns:
        Printable text of at most `longest` characters.

    Example:
        >>> shown(chr(27)), shown(2.5), shown([1]), shown("x" * 99, 12)
        ("'\\x1b'", '2.5', 'a list', "'xxxxxxx...'")
    """
    if isinstance(value, str):
        text = repr(value if len(value) <= longest - 2 else value[: longest - 5] + "...")
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        text = "a number of more than 38 digits"  # Python refuses to write out thousands of digits
    elif value is None or isinstance(value, (bool, int, float)):
        text = str(value)
    elif isinstance(value, type):
        text = f"the class {value.__name__}"
    elif isinstance(value, torch.Tensor):
        text = f"a tensor of shape {tuple(value.shape)}"
    else:
        kind = type(value).__name__
        text = f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
    return text if len(text) <= longest else text[: longest - 3] + "..."
