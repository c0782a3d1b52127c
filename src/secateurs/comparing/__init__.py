"""Methods x budgets x repairs x seeds on one network and one data set, on as many machines as there are."""

from secateurs.comparing.cluster import Ray, Slurm
from secateurs.comparing.comparison import Comparison
from secateurs.comparing.executors import Executor, Processes, Serial
from secateurs.comparing.grid import compare

__all__ = ["Comparison", "Executor", "Processes", "Ray", "Serial", "Slurm", "compare"]
