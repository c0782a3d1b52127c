"""How often a classifier is right, with the standard error of that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.contracts import Loader, Progress
from secateurs.data.batches import batches, count
from secateurs.errors import InputError, RunError
from secateurs.modes import device_of, evaluation


@dataclass(frozen=True)
class Accuracy:
    """Share of samples whose largest output is that of their class.

    `standard_error` is sqrt(p (1 - p) / n), the deviation over test sets of that size. `loss` is the mean
    cross-entropy in nats.
    """

    value: float
    standard_error: float
    correct: int
    total: int
    loss: float

    @property
    def samples(self) -> int:
        """Number of samples, the same as `total`."""
        return self.total

    def __str__(self) -> str:
        error = 100 * self.standard_error
        right = f"{self.correct:,} of {self.total:,}"
        return f"{100 * self.value:.2f} % ± {error:.2f} ({right}), loss {self.loss:.4f}"


def evaluate(
    model: nn.Module,
    data: Loader,
    *,
    batch_size: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Accuracy:
    r"""Accuracy and loss of a classifier on labelled data, in evaluation mode, where the model lies.

    .. math:: p = \frac{1}{n} \sum_i [\arg\max_k z_{ik} = y_i], \quad
              \mathrm{se} = \sqrt{p (1 - p) / n}, \quad
              \ell = -\frac{1}{n} \sum_i \log \mathrm{softmax}(z_i)_{y_i}

    Equal outputs count for the lower class. Sums are kept in float64.

    Args:
        model: Gives logits (b, classes), alone or as the first of several outputs; left as it was.
        data: Labelled data in any form that `secateurs.data.batches` reads; labels are class indices (b,).
        batch_size: Samples a pass, where `data` does not come in batches; None for 64 on a CPU, where the maps
            of larger ones fall out of its cache, and 512 elsewhere.
        limit: Only the first so many samples.
        progress: Told the number of samples done after each batch.

    Raises:
        InputError: no labels, labels that are not class indices, more classes than outputs, outputs of
            another shape, or inputs that the model does not take.
        RunError: an output is NaN or infinite; says from which sample on.

    Example:
        >>> data = (torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 0]))
        >>> str(evaluate(nn.Identity(), data))
        '75.00 % ± 21.65 (3 of 4), loss 0.8014'
    """
    device = device_of(model)
    batch_size = batch_size or (64 if device.type == "cpu" else 512)
    known = count(data)
    expected = None if known is None else min(known, limit or known)
    correct = total = 0
    loss = 0.0
    with evaluation(model), torch.inference_mode():
        for inputs, labels in batches(data, batch_size, limit=limit):
            logits = _logits(model, tuple(x.to(device, non_blocking=True) for x in inputs))
            target = _checked(logits, labels, total).to(device)
            correct += int((logits.argmax(dim=1) == target).sum())
            loss += float(F.cross_entropy(logits, target, reduction="none").double().sum())
            total += len(target)
            if progress is not None:
                progress("evaluate", total, expected or total)
    share = correct / total
    return Accuracy(share, math.sqrt(share * (1 - share) / total), correct, total, loss / total)


def _logits(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    try:
        output: Any = model(*inputs)
    except (RuntimeError, TypeError, ValueError) as error:
        shapes = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in inputs)
        raise InputError(
            f"The network {type(model).__name__} does not take the data's inputs ({shapes}): {error}"
        ) from error
    if isinstance(output, Mapping):
        output = output.get("logits", output.get("out"))
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[0] != inputs[0].shape[0]:
        found = (
            f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"type {type(output).__name__}"
        )
        raise InputError(
            f"The network {type(model).__name__} gives an output of {found} for {inputs[0].shape[0]} "
            "samples, where accuracy needs logits (samples, classes)."
        )
    return output.float()


def _checked(logits: Tensor, labels: Tensor | None, done: int) -> Tensor:
    """The labels as class indices, after everything that may be wrong with them or with the outputs."""
    if labels is None:
        raise InputError("The data have no labels, so accuracy cannot be measured: give (inputs, labels).")
    labels = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
    if labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        raise InputError(
            f"The labels have shape {tuple(labels.shape)} and type "
            f"{str(labels.dtype).removeprefix('torch.')}, where class indices (samples,) are needed."
        )
    low, high, classes = int(labels.min()), int(labels.max()), logits.shape[1]
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise InputError(
            f"The data hold the class {wrong}, the network has {classes} outputs (classes 0 to "
            f"{classes - 1}): they do not belong together."
        )
    bad = ~torch.isfinite(logits).all(dim=1)
    if bool(bad.any()):
        raise RunError(
            f"The network gives NaN or infinite outputs for {int(bad.sum())} of {len(bad)} samples of a "
            f"batch, the first of them sample {done + int(bad.int().argmax())} of the data: look at its "
            "weights and at the normalisation of the inputs."
        )
    return labels.long()
