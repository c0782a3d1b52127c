"""Getting accuracy back after the removal: batch-norm statistics, training."""

from secateurs.recover.recalibrate import Recalibration, recalibrate_
from secateurs.recover.train import train_

__all__ = ["Recalibration", "recalibrate_", "train_"]
