"""Getting accuracy back after the removal: batch-norm statistics, training, a training under way that goes on."""

from secateurs.recover.progress import Epoch, Tuned
from secateurs.recover.recalibrate import Recalibration, recalibrate_
from secateurs.recover.sliced import carried_average, carried_optimizer, carried_tensors
from secateurs.recover.train import train_
from secateurs.recover.tune import tune_

__all__ = [
    "Epoch",
    "Recalibration",
    "Tuned",
    "carried_average",
    "carried_optimizer",
    "carried_tensors",
    "recalibrate_",
    "train_",
    "tune_",
]
