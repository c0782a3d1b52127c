"""Checks of what comes from outside: arguments, networks, and the contents of files."""

from secateurs.checks.form import (
    Form,
    ascending,
    list_of,
    map_of,
    maybe,
    one_of,
    parsed,
    read_text,
    record,
)
from secateurs.checks.form import flag as any_flag
from secateurs.checks.form import number as any_number
from secateurs.checks.form import prose as any_prose
from secateurs.checks.form import text as any_text
from secateurs.checks.form import whole as any_whole
from secateurs.checks.networks import check_example, check_has_parameters, check_model
from secateurs.checks.shown import shown
from secateurs.checks.values import (
    check_allocation,
    check_callable,
    check_effort,
    check_flag,
    check_kind,
    check_multiple,
    check_number,
    check_seed,
    check_shares,
    check_whole,
    file_to_read,
    file_to_write,
)

__all__ = [
    "Form",
    "any_flag",
    "any_number",
    "any_prose",
    "any_text",
    "any_whole",
    "ascending",
    "check_allocation",
    "check_callable",
    "check_effort",
    "check_example",
    "check_flag",
    "check_has_parameters",
    "check_kind",
    "check_model",
    "check_multiple",
    "check_number",
    "check_seed",
    "check_shares",
    "check_whole",
    "file_to_read",
    "file_to_write",
    "list_of",
    "map_of",
    "maybe",
    "one_of",
    "parsed",
    "read_text",
    "record",
    "shown",
]
