"""Plan and model to a smaller model, and the proof."""

from secateurs.surgery.files import load, load_plan, save_model
from secateurs.surgery.plan import Plan
from secateurs.surgery.remove import remove
from secateurs.surgery.verify import Verification, verify

__all__ = ["Plan", "Verification", "load", "load_plan", "remove", "save_model", "verify"]
