"""Metrics by name: log-loss, accuracy class by class, and mean average precision, by torchmetrics."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from secateurs.checks import check_callable, shown
from secateurs.data.dotted import load_own
from secateurs.errors import InputError
from secateurs.meters.scoring import Metric, several


@dataclass(frozen=True)
class NamedMetric:
    """A metric with a name: a `Metric`, higher is better, that can be shown and put on record.

    Attributes:
        name: What it is called.
        function: From outputs (n, ...) and labels (n, ...) to what it is for each class (classes,), NaN for a class
            that has no sample, or to one number.
        loss: Whether lower is better: as a `Metric` it is then taken with a minus.
    """

    name: str
    function: Callable[[Tensor, Tensor], Any]
    loss: bool = False

    def __call__(self, outputs: Tensor, labels: Tensor) -> float:
        """The number that a floor holds: the mean over the classes, with a minus for a loss."""
        mean = float(self._found(outputs, labels).nanmean())
        return -mean if self.loss else mean

    def by_class(self, outputs: Tensor, labels: Tensor) -> tuple[float, ...]:
        """What it is for each class, NaN where there is no sample; empty for a metric of one number."""
        found = self._found(outputs, labels)
        return tuple(found.tolist()) if found.dim() == 1 else ()

    def _found(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return torch.as_tensor(self.function(outputs, labels), dtype=torch.float64).detach()


def log_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    r"""Mean cross-entropy in nats; where a sample may have several labels the binary one, its mean over the classes.

    Example:
        >>> round(float(log_loss(torch.zeros(3, 10), torch.tensor([0, 4, 9]))), 4)  # log(10)
        2.3026
    """
    if several(outputs, labels):
        return F.binary_cross_entropy_with_logits(outputs.double(), labels.double())
    return F.cross_entropy(outputs.double(), _classes("log-loss", outputs, labels))


def class_accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """For each class the share of its samples that are right, NaN where it has none; shape (classes,).

    Raises:
        InputError: Several labels a sample, or torchmetrics is missing.
    """
    classes = _classes("class-accuracy", outputs, labels)
    found: Tensor = _torchmetrics().multiclass_accuracy(
        outputs.double(), classes, num_classes=outputs.shape[1], average="none"
    )
    met = F.one_hot(classes, outputs.shape[1]).sum(dim=0) > 0
    return torch.where(met, found.double(), torch.nan)


def average_precision(outputs: Tensor, labels: Tensor) -> Tensor:
    """Average precision of each class against all others, NaN where no sample has it; shape (classes,).

    Scores are the sigmoid of the outputs where a sample may have several labels, else their softmax.

    Raises:
        InputError: Labels of another shape, or torchmetrics is missing.
    """
    if several(outputs, labels):
        scores, wanted = torch.sigmoid(outputs.double()), labels.long()
    else:
        classes = _classes("map", outputs, labels)
        scores, wanted = torch.softmax(outputs.double(), dim=1), F.one_hot(classes, outputs.shape[1])
    met = torch.nonzero(wanted.sum(dim=0))[:, 0]
    found = torch.full((outputs.shape[1],), torch.nan, dtype=torch.float64)
    measure = _torchmetrics()
    if len(met) == 1:
        found[met] = measure.binary_average_precision(scores[:, met[0]], wanted[:, met[0]]).double()
    elif len(met):
        found[met] = measure.multilabel_average_precision(
            scores[:, met], wanted[:, met], num_labels=len(met), average="none"
        ).double()
    return found


NAMED: Mapping[str, NamedMetric | None] = MappingProxyType(
    {
        "accuracy": None,
        "class-accuracy": NamedMetric("class-accuracy", class_accuracy),
        "log-loss": NamedMetric("log-loss", log_loss, loss=True),
        "map": NamedMetric("map", average_precision),
    }
)
"""Metrics by name; accuracy is what is measured without one."""


def metric_of(value: str | Metric | None) -> Metric | None:
    """The metric that is asked for, by its name or as a function; None for accuracy.

    Raises:
        InputError: There is none of that name, or it is no function.

    Example:
        >>> metric_of("map").name, metric_of("accuracy")
        ('map', None)
    """
    if value is None:
        return None
    if isinstance(value, str):
        if value not in NAMED:
            near = difflib.get_close_matches(value, NAMED, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(NAMED)}."
            raise InputError(f"metric: there is no metric {shown(value)}: {hint}")
        return NAMED[value]
    check_callable("metric", value, "a name, or a function of outputs and labels that returns a number")
    return value


def names_own_metric(text: str) -> bool:
    """Whether a name is of code that `own_metric` would import and run.

    Example:
        >>> names_own_metric("mine.py:f1"), names_own_metric("map")
        (True, False)
    """
    return ":" in text


def own_metric(spec: str) -> NamedMetric:
    """Import a metric from code of the user's: `my_file.py:fn` or `package.module:fn`.

    This imports the code. It is for names that the user has typed in this very command, never for names from a file.

    Raises:
        InputError: The code cannot be found, fails, or is no function.

    Example:
        >>> own_metric("torch:dist").name
        'torch:dist'
    """
    found = load_own(spec, "metric", "fn")
    check_callable("metric", found, "a function of outputs and labels that returns a number")
    return NamedMetric(spec, _Own(found, spec))


@dataclass(frozen=True)
class _Own:
    """A function of the user's, whose result is checked."""

    function: Callable[[Tensor, Tensor], Any]
    name: str

    def __call__(self, outputs: Tensor, labels: Tensor) -> float:
        try:
            return float(self.function(outputs, labels))
        except Exception as error:
            raise InputError(
                f"metric: '{self.name}', given outputs {tuple(outputs.shape)} and labels {tuple(labels.shape)}, failed "
                f"with {type(error).__name__}: {str(error)[:200]}; it has to return a number, higher is better."
            ) from error


def _classes(name: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """Labels as classes (n,), int64."""
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
    fits = outputs.dim() == 2 and labels.dim() == 1 and not labels.is_floating_point()
    if not fits or int(labels.min()) < 0 or int(labels.max()) >= outputs.shape[1]:
        also = "" if name == "class-accuracy" else ", or zeros and ones of the outputs' shape"
        raise InputError(
            f"{name}: labels have shape {tuple(labels.shape)} and outputs {tuple(outputs.shape)}; give one class a "
            f"sample, below the number of outputs{also}."
        )
    return labels.long()


def _torchmetrics() -> Any:
    try:
        from torchmetrics.functional import classification
    except ModuleNotFoundError as error:
        raise InputError("This metric needs the package torchmetrics: pip install torchmetrics.") from error
    return classification
