"""How right the answers of a network are: a score for every sample, or one of the user's own for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from secateurs.contracts import FloatArray
from secateurs.errors import InputError

Metric: TypeAlias = Callable[[Tensor, Tensor], float]
"""From the outputs (n, ...) and labels (n, ...) of all samples to one number, higher is better, 0.01 is a point."""

PARTS = 20
"""Parts of the samples, each of which is left out once to find the standard error of a metric."""


def answer_of(output: Any) -> Any:
    """The scores in what a network returns: itself, the first of several, or what a dict calls logits or out.

    Example:
        >>> answer_of((1, 2)), answer_of({"logits": 3}), answer_of(4)
        (1, 3, 4)
    """
    if isinstance(output, Mapping):
        return output.get("logits", output.get("out"))
    return output[0] if isinstance(output, (tuple, list)) and output else output


def several(outputs: Tensor, labels: Tensor) -> bool:
    """Whether labels are zeros and ones, one for each output: a sample may have several labels.

    Example:
        >>> several(torch.zeros(2, 3), torch.tensor([[1, 0, 1], [0, 0, 0]])), several(torch.zeros(2, 3), torch.ones(2))
        (True, False)
    """
    return labels.shape == outputs.shape and bool(((labels == 0) | (labels == 1)).all())


def right(outputs: Tensor, labels: Tensor) -> Tensor:
    r"""Share of each sample's answers that are right, shape (b,), float64.

    Where labels are classes (b, ...), outputs are (b, classes, ...) and the largest is the answer. Where they are
    zeros and ones of the outputs' shape, each output is an answer of its own, yes above 0:

    .. math:: s_i = \frac{1}{m} \sum_j [\arg\max_k z_{ikj} = y_{ij}] \quad \text{or} \quad
              s_i = \frac{1}{m} \sum_j [(z_{ij} > 0) = y_{ij}]

    Raises:
        InputError: labels of another shape.

    Example:
        >>> right(torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 0])).tolist()
        [1.0, 0.0]
        >>> right(torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 1]])).tolist()
        [0.5]
    """
    labels = labels.to(outputs.device)
    if several(outputs, labels):
        same = (outputs > 0) == (labels > 0)
    else:
        labels = labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels
        decided = outputs.argmax(dim=1)
        if decided.shape != labels.shape:
            raise InputError(
                f"The labels have shape {tuple(labels.shape)} and the outputs {tuple(outputs.shape)}: give one class a "
                "sample, or zeros and ones of the outputs' shape where a sample has several labels."
            )
        same = decided == labels
    return same.reshape(len(same), -1).double().mean(dim=1)


def left_out(metric: Metric, outputs: Tensor, labels: Tensor) -> tuple[float, FloatArray]:
    """A metric of all samples, and of all but every 20th, beginning with each of the first 20.

    Raises:
        InputError: it gives no number.
    """
    place = torch.arange(len(outputs)) % min(PARTS, len(outputs))
    parts = [
        _number(metric(outputs[place != k], labels[place != k])) for k in range(min(PARTS, len(outputs)))
    ]
    return _number(metric(outputs, labels)), np.array(parts)


def jackknife_error(parts: FloatArray) -> float:
    r"""Standard error of a number from its values $\theta_j$ with each of g parts of the samples left out.

    .. math:: \sqrt{\frac{g - 1}{g} \sum_j (\theta_j - \bar\theta)^2}

    Example:
        >>> values = np.arange(10.0)
        >>> round(jackknife_error((values.sum() - values) / 9), 4), round(float(values.std(ddof=1)) / 10**0.5, 4)
        (0.9574, 0.9574)
    """
    g = len(parts)
    return float(np.sqrt((g - 1) / g * np.square(parts - parts.mean()).sum()))


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not np.isfinite(found):
        raise InputError(
            f"metric(outputs, labels) returned {value!r}; it has to return a number, higher is better."
        )
    return found
