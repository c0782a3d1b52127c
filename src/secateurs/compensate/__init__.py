"""Repair without labels: what the removed channels did, done by those that stay."""

from secateurs.compensate.conjugate import conjugate_gradients
from secateurs.compensate.named import check, names, repair_
from secateurs.compensate.one_shot import stand_in_
from secateurs.compensate.reconstruct import reconstruct_
from secateurs.compensate.refit import refit
from secateurs.compensate.sequential import least_squares_
from secateurs.compensate.walk import Repair

__all__ = [
    "Repair",
    "check",
    "conjugate_gradients",
    "least_squares_",
    "names",
    "reconstruct_",
    "refit",
    "repair_",
    "stand_in_",
]
