"""Orders, costs and a target to keep counts."""

from secateurs.allocate.named import check, get, names
from secateurs.allocate.overall import Global, Threshold
from secateurs.allocate.search import Search
from secateurs.allocate.sensitivity import Sensitivity
from secateurs.allocate.sequence import Allocation
from secateurs.allocate.uniform import Uniform

__all__ = ["Allocation", "Global", "Search", "Sensitivity", "Threshold", "Uniform", "check", "get", "names"]
