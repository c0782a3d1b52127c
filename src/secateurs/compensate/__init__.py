"""Repair without labels: what the removed channels did, done by those that stay."""

from secateurs.compensate.base import Removal, Repair, name_of
from secateurs.compensate.conjugate import conjugate_gradients
from secateurs.compensate.named import check, get, names, repair_, scored_as
from secateurs.compensate.one_shot import stand_in_
from secateurs.compensate.reconstruct import reconstruct_
from secateurs.compensate.refit import refit
from secateurs.compensate.sequential import least_squares_
from secateurs.compensate.walk import Repaired

__all__ = [
    "Removal",
    "Repair",
    "Repaired",
    "check",
    "conjugate_gradients",
    "get",
    "least_squares_",
    "name_of",
    "names",
    "reconstruct_",
    "refit",
    "repair_",
    "scored_as",
    "stand_in_",
]
