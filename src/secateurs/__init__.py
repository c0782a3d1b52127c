"""Makes trained CNNs smaller, repairs what that breaks, and proves the result.

result = prune(model, example, method="l1-norm", macs=0.5)
save(result, "small.safetensors")
small = load("small.safetensors", build_model())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from secateurs.errors import (
    CaptureError,
    InputError,
    MismatchError,
    RunError,
    SecateursError,
    TargetError,
    VerificationError,
)
from secateurs.version import __version__ as __version__

if TYPE_CHECKING:
    from secateurs import allocate, comparing, compensate, methods, targets
    from secateurs.comparing import Comparison, compare
    from secateurs.config import PruneConfig
    from secateurs.export.onnx import export_onnx
    from secateurs.graph import Graph, trace  # type: ignore[no-redef]  # the module of that name, in the cycle
    from secateurs.looking import observe
    from secateurs.meters import count_costs, evaluate
    from secateurs.pipeline import Result, prune, save
    from secateurs.planning import plan, rank
    from secateurs.proof import verify
    from secateurs.recover import recalibrate_
    from secateurs.surgery import Plan, Verification, remove
    from secateurs.surgery.files import load, load_plan

__all__ = [
    "CaptureError",
    "Comparison",
    "Graph",
    "InputError",
    "MismatchError",
    "Plan",
    "PruneConfig",
    "Result",
    "RunError",
    "SecateursError",
    "TargetError",
    "Verification",
    "VerificationError",
    "allocate",
    "compare",
    "comparing",
    "compensate",
    "count_costs",
    "evaluate",
    "export_onnx",
    "load",
    "load_plan",
    "methods",
    "observe",
    "plan",
    "prune",
    "rank",
    "recalibrate_",
    "remove",
    "save",
    "targets",
    "trace",
    "verify",
]

# Importing torch takes seconds, which `secateurs --help` and the shell's completion do not have.
_HOMES = {
    "secateurs.comparing": ("Comparison", "compare"),
    "secateurs.config": ("PruneConfig",),
    "secateurs.export.onnx": ("export_onnx",),
    "secateurs.graph": ("Graph", "trace"),
    "secateurs.looking": ("observe",),
    "secateurs.meters": ("count_costs", "evaluate"),
    "secateurs.pipeline": ("Result", "prune", "save"),
    "secateurs.planning": ("plan", "rank"),
    "secateurs.proof": ("verify",),
    "secateurs.recover": ("recalibrate_",),
    "secateurs.surgery": ("Plan", "Verification", "remove"),
    "secateurs.surgery.files": ("load", "load_plan"),
}
_PACKAGES = (
    "allocate",
    "audio",
    "comparing",
    "compensate",
    "data",
    "export",
    "graph",
    "measure",
    "meters",
    "methods",
    "recover",
    "report",
    "represent",
    "select",
    "statistics",
    "surgery",
    "targets",
    "zoo",
)
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name in _PACKAGES:
        return import_module(f"secateurs.{name}")
    if name in _HOME_OF:
        globals()[name] = found = getattr(import_module(_HOME_OF[name]), name)
        return found
    raise AttributeError(f"module 'secateurs' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
