"""How often a classifier is right, with the standard error of that."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.checks import check_model
from secateurs.contracts import FloatArray, Loader, Progress
from secateurs.data.batches import batches, count
from secateurs.errors import InputError, RunError
from secateurs.meters.named import NamedMetric, metric_of
from secateurs.meters.scoring import Metric, answer_of, jackknife_error, left_out, right, several
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.running.together import place


@dataclass(frozen=True)
class Accuracy:
    """Share of samples whose largest output is that of their class.

    `standard_error` is the deviation over test sets of that size, sqrt(p (1 - p) / n). `loss` is the mean
    cross-entropy in nats. Where a sample has several labels, `value` is the mean share of them that is
    right, and `correct` counts the samples of which all are; with another metric, `value` is the metric, `correct` and
    `loss` are None, and `by_class` is what it is for each class (NaN where there is no sample), if it says so.
    """

    value: float
    standard_error: float
    correct: int | None
    total: int
    loss: float | None
    metric: str = "accuracy"
    by_class: tuple[float, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples, the same as `total`."""
        return self.total

    def __str__(self) -> str:
        error = 100 * self.standard_error
        if self.metric == "log-loss":
            return f"{self.value:.4f} nats ± {error / 100:.4f} ({self.total:,} samples)"
        if self.correct is None or self.loss is None:
            return f"{100 * self.value:.2f} % ± {error:.2f} ({self.total:,} samples)"
        right = f"{self.correct:,} of {self.total:,}"
        return f"{100 * self.value:.2f} % ± {error:.2f} ({right}), loss {self.loss:.4f}"


def evaluate(
    model: nn.Module,
    data: Loader,
    *,
    batch_size: int | None = None,
    limit: int | None = None,
    metric: str | Metric | None = None,
    processes: bool = False,
    progress: Progress | None = None,
) -> Accuracy:
    r"""Accuracy and loss of a classifier on labelled data, in evaluation mode, where the model lies.

    .. math:: p = \frac{1}{n} \sum_i [\arg\max_k z_{ik} = y_i], \quad
              \mathrm{se} = \sqrt{p (1 - p) / n}, \quad
              \ell = -\frac{1}{n} \sum_i \log \mathrm{softmax}(z_i)_{y_i}

    Equal outputs count for the lower class. Sums are kept in float64. Where a sample has several labels, it is
    right by the share $s_i$ of its k outputs that are above 0 just where the label is 1, $p$ is the mean of the
    $s_i$, its standard error their deviation divided by $\sqrt n$, and the loss binary.

    Args:
        model: Gives logits (b, classes), alone or as the first of several outputs; left as it was.
        data: Labelled data in any form that `secateurs.data.batches` reads; labels are class indices (b,), or
            zeros and ones (b, classes) where a sample may have several.
        batch_size: Samples a pass, where `data` does not come in batches; None for 64 on a CPU, where the maps
            of larger ones fall out of its cache, and 512 elsewhere.
        limit: Only the first so many samples.
        metric: Instead: "class-accuracy" (the mean over the classes), "log-loss" or "map" (mean average precision); or
            a function from the outputs (n, ...) and labels (n, ...) of all samples, which are held in memory, to one
            number. Its standard error comes from leaving out every 20th sample in turn.
        processes: Whether all processes of `torch.distributed` call this with the same network and the same data: each
            then takes its part of the batches, and all get the numbers of all.
        progress: Told the number of samples done after each batch.

    Raises:
        InputError: no labels, labels that are not class indices, more classes than outputs, outputs of
            another shape, or inputs that the model does not take; a metric that gives no number.
        RunError: an output is NaN or infinite; says from which sample on.

    Example:
        >>> data = (torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 0]))
        >>> str(evaluate(nn.Identity(), data))
        '75.00 % ± 21.65 (3 of 4), loss 0.8014'
        >>> evaluate(nn.Identity(), data, metric=lambda z, y: float(z[y == 0].mean())).value
        0.3333333432674408
    """
    chosen = metric_of(metric)
    tally = _Tally() if chosen is None else _Kept(chosen)
    part = place() if processes else (0, 1)
    total = _read(model, data, tally, batch_size, limit, progress, part)
    return tally.accuracy(total if part[1] == 1 else tally.shared(total, device_of(model)))


def answers(
    model: nn.Module, data: Loader, *, batch_size: int | None = None, progress: Progress | None = None
) -> tuple[Accuracy, FloatArray]:
    r"""`evaluate`, and beside it what its mean is taken of: how right the answer to every sample is.

    Returns:
        The accuracy, and the scores in the order of the data, shape (n,): 0 or 1, or with several labels a sample
        the share $s_i$ of them that is right.

    Raises:
        InputError: As `evaluate`.
        RunError: As `evaluate`.

    Example:
        >>> data = (torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 0]))
        >>> answers(nn.Identity(), data)[1].tolist()
        [1.0, 1.0, 1.0, 0.0]
    """
    tally = _Tally()
    found = tally.accuracy(_read(model, data, tally, batch_size, None, progress))
    return found, torch.cat(tally.scores).numpy()


def _read(
    model: nn.Module,
    data: Loader,
    tally: _Tally | _Kept,
    batch_size: int | None,
    limit: int | None,
    progress: Progress | None,
    part: tuple[int, int] = (0, 1),
) -> int:
    """Run a network over data, or every so many batches of them, and have its outputs counted; how many samples."""
    check_model(model)
    device = device_of(model)
    batch_size = batch_size or (64 if device.type == "cpu" else 512)
    known = count(data)
    expected = None if known is None else min(known, limit or known)
    total = 0
    with evaluation(model), torch.inference_mode():
        for inputs, labels in itertools.islice(
            batches(data, batch_size, limit=limit), part[0], None, part[1]
        ):
            placed = tuple(x.to(device, non_blocking=True) for x in inputs)
            total += tally.add(_output(model, placed, plain=isinstance(tally, _Tally)), labels, total)
            if progress is not None:
                progress("evaluate", total, expected or total)
    return total


class _Tally:
    """Sums of scores and losses, for accuracy."""

    def __init__(self) -> None:
        self.score = self.square = self.loss = 0.0
        self.correct = 0
        self.scores: list[Tensor] = []

    def add(self, logits: Tensor, labels: Tensor | None, done: int) -> int:
        """Count one batch; the number of its samples."""
        target = _checked(logits, labels, done).to(logits.device)
        scores = right(logits, target)
        if target.dim() == 2:
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)
        else:
            loss = F.cross_entropy(logits, target, reduction="none")
        self.scores.append(scores.cpu())
        self.score += float(scores.sum())
        self.square += float(scores.square().sum())
        self.correct += int((scores == 1).sum())
        self.loss += float(loss.double().sum())
        return len(target)

    def shared(self, total: int, device: torch.device) -> int:
        """Add the sums of all processes; the number of their samples."""
        sums = torch.tensor([self.score, self.square, self.loss, self.correct, total], dtype=torch.float64)
        sums = sums.to(device)
        torch.distributed.all_reduce(sums)
        self.score, self.square, self.loss = sums[:3].tolist()
        self.correct = int(sums[3])
        return int(sums[4])

    def accuracy(self, total: int) -> Accuracy:
        """What the sums say; for classes the mean square is the mean, so that this is p (1 - p) / n."""
        share = self.score / total
        error = math.sqrt(max(self.square / total - share * share, 0.0) / total)
        return Accuracy(share, error, self.correct, total, self.loss / total)


class _Kept:
    """All outputs and labels, for another metric than accuracy."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.outputs: list[Tensor] = []
        self.labels: list[Tensor] = []

    def add(self, outputs: Tensor, labels: Tensor | None, done: int) -> int:
        """Keep one batch; the number of its samples."""
        if labels is None:
            raise InputError(
                "The data have no labels, so accuracy cannot be measured: give (inputs, labels)."
            )
        _check_finite(outputs, done)
        self.outputs.append(outputs.cpu())
        self.labels.append(labels.cpu())
        return len(labels)

    def shared(self, total: int, device: torch.device) -> int:
        """Put the outputs of all processes in the order of the data; the number of their samples."""
        every: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(every, (self.outputs, self.labels))
        for name, number in (("outputs", 0), ("labels", 1)):
            dealt = itertools.zip_longest(*(each[number] for each in every))
            setattr(self, name, [batch for row in dealt for batch in row if batch is not None])
        return sum(map(len, self.labels))

    def accuracy(self, total: int) -> Accuracy:
        """The metric, with its standard error."""
        outputs, labels = torch.cat(self.outputs), torch.cat(self.labels)
        value, parts = left_out(self.metric, outputs, labels)
        error = jackknife_error(parts)
        if not isinstance(self.metric, NamedMetric):
            return Accuracy(value, error, None, total, None, "metric")
        value = -value if self.metric.loss else value
        return Accuracy(
            value, error, None, total, None, self.metric.name, self.metric.by_class(outputs, labels)
        )


def _output(model: nn.Module, inputs: tuple[Tensor, ...], plain: bool) -> Tensor:
    """The scores of a batch, (samples, classes) where they are to be `plain`."""
    try:
        output: Any = answer_of(model(*inputs))
    except (RuntimeError, TypeError, ValueError) as error:
        shapes = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in inputs)
        raise InputError(
            f"The network {type(model).__name__} does not take the data's inputs ({shapes}): {error}"
        ) from error
    fits = isinstance(output, Tensor) and output.dim() > 0 and output.shape[0] == inputs[0].shape[0]
    if not fits or (plain and output.dim() != 2):
        found = (
            f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"type {type(output).__name__}"
        )
        raise InputError(
            f"The network {type(model).__name__} gives an output of {found} for {inputs[0].shape[0]} "
            "samples, where accuracy needs logits (samples, classes)."
        )
    scores: Tensor = output.float()
    return scores


def _checked(logits: Tensor, labels: Tensor | None, done: int) -> Tensor:
    """The labels as class indices, or as zeros and ones, after everything that may be wrong with them."""
    if labels is None:
        raise InputError("The data have no labels, so accuracy cannot be measured: give (inputs, labels).")
    if several(logits, labels):
        _check_finite(logits, done)
        return labels.float()
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
    if labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        raise InputError(
            f"The labels have shape {tuple(labels.shape)} and type "
            f"{str(labels.dtype).removeprefix('torch.')}, where class indices (samples,) are needed, or zeros and "
            f"ones of shape {tuple(logits.shape)} where a sample may have several labels."
        )
    low, high, classes = int(labels.min()), int(labels.max()), logits.shape[1]
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise InputError(
            f"The data hold the class {wrong}, the network has {classes} outputs (classes 0 to "
            f"{classes - 1}): they do not belong together."
        )
    _check_finite(logits, done)
    return labels.long()


def _check_finite(outputs: Tensor, done: int) -> None:
    bad = ~torch.isfinite(outputs.flatten(1) if outputs.dim() > 1 else outputs[:, None]).all(dim=1)
    if bool(bad.any()):
        raise RunError(
            f"The network gives NaN or infinite outputs for {int(bad.sum())} of {len(bad)} samples of a "
            f"batch, the first of them sample {done + int(bad.int().argmax())} of the data: look at its "
            "weights and at the normalisation of the inputs."
        )
