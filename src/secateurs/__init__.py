"""Makes trained CNNs smaller, repairs what that breaks, and proves the result.

result = prune(model, example, method="l1-norm", macs=0.5)
save(result, "small.safetensors")
small = load("small.safetensors", into=build_model())
"""

from secateurs import allocate, methods
from secateurs.errors import (
    CaptureError,
    InputError,
    MismatchError,
    RunError,
    SecateursError,
    TargetError,
    VerificationError,
)
from secateurs.graph import Graph, trace
from secateurs.pipeline import Result, prune, save
from secateurs.planning import plan, rank
from secateurs.surgery import Plan, Verification, remove, verify
from secateurs.surgery.files import load, load_plan

__version__ = "0.1.0"

__all__ = [
    "CaptureError",
    "Graph",
    "InputError",
    "MismatchError",
    "Plan",
    "Result",
    "RunError",
    "SecateursError",
    "TargetError",
    "Verification",
    "VerificationError",
    "allocate",
    "load",
    "load_plan",
    "methods",
    "plan",
    "prune",
    "rank",
    "remove",
    "save",
    "trace",
    "verify",
]
