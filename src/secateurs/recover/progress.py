"""What is known after every epoch of a training, and what came of all of them."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secateurs.checks import any_number, any_whole, maybe, record
from secateurs.meters.named import NAMED
from secateurs.meters.scoring import Metric


@dataclass(frozen=True)
class Epoch:
    """One epoch in numbers.

    Attributes:
        number: From 1.
        loss: Mean over the training samples, as they were trained on.
        rate: The learning rate of its last step.
        accuracy: Of the validation part, or another metric; None where there is none.
        validation_loss: Mean cross-entropy of the validation part, where accuracy is measured.
        seconds: How long it took, validation included.
    """

    number: int
    loss: float
    rate: float
    accuracy: float | None = None
    validation_loss: float | None = None
    seconds: float = 0.0


EPOCH = record(
    number=any_whole(1),
    loss=any_number,
    rate=any_number,
    accuracy=maybe(any_number),
    validation_loss=maybe(any_number),
    seconds=any_number,
)
"""What a file must hold of an epoch."""


@dataclass(frozen=True)
class Tuned:
    """What came of a training: its epochs, and the number of the one whose weights the network has; 0 for none."""

    epochs: tuple[Epoch, ...]
    best: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float | None:
        """Of the validation part, in the epoch that was kept."""
        return None if not self.best else self.epochs[self.best - 1].accuracy

    def __str__(self) -> str:
        kept = f"epoch {self.best} of {len(self.epochs)} kept"
        if self.accuracy is None:
            return kept
        return f"{kept}, {as_measured(self.accuracy, self.settings.get('metric'))} of the validation part"


def as_measured(value: float, metric: str | Metric | None) -> str:
    """A value of a metric in its unit: nats of a loss, per cent of a share, a plain number of another.

    Args:
        value: What was measured.
        metric: By which metric, or the name of it; None for accuracy.

    Example:
        >>> as_measured(0.5, None), as_measured(0.5, "log-loss"), as_measured(0.5, "class-accuracy")
        ('50.00 %', '0.5000 nats', '50.00 %')
        >>> as_measured(-1.5, "mine.py:fn")
        '-1.5000'
    """
    known = NAMED.get(metric) if isinstance(metric, str) else metric
    if getattr(known, "loss", False):
        return f"{value:.4f} nats"
    return f"{100 * value:.2f} %" if 0 <= value <= 1 else f"{value:.4f}"


def as_csv(epochs: tuple[Epoch, ...]) -> str:
    """A line an epoch, with a head.

    Example:
        >>> print(as_csv((Epoch(1, 0.5, 0.01),)), end="")
        number,loss,rate,accuracy,validation_loss,seconds
        1,0.5,0.01,,,0.0
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(one.name for one in dataclasses.fields(Epoch))
    rows.writerows(dataclasses.astuple(epoch) for epoch in epochs)
    return text.getvalue()
