"""Held-out samples as the original answers them, and what another network loses on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.contracts import FloatArray
from secateurs.data.batches import Batch
from secateurs.errors import InputError
from secateurs.meters.paired import Drop, Z, samples_for, upper_drop
from secateurs.meters.scoring import Metric, answer_of, jackknife_error, left_out, right
from secateurs.running.eval_mode import device_of, evaluation

# The original gets nearly everything right on samples that it was trained on.
_BY_HEART = 0.995


@dataclass(frozen=True, eq=False)
class Judge:
    """The held-out samples with what the original makes of them; says what another network loses.

    `before` holds a score for each sample, or, of a user's own metric, its values with a part left out.
    """

    read: Sequence[Batch]
    labels: Sequence[Tensor]
    labelled: bool
    value: float
    before: FloatArray
    metric: Metric | None = None

    @classmethod
    def of(cls, model: nn.Module, read: Sequence[Batch] | None, metric: Metric | None = None) -> Judge:
        """The judge of networks that were made from a model; without labels, its decisions are the labels.

        Raises:
            InputError: No samples, outputs that are no classes, labels of another shape, a metric without labels.
        """
        if not read:
            raise InputError(
                "data: an accuracy floor is measured on data and got none; give some training data, best with labels."
            )
        outputs = [_scores(model, x) for x, _ in read]
        labelled = all(y is not None for _, y in read)
        if metric is not None and not labelled:
            raise InputError(
                "data: a metric compares outputs with labels, and the data have none; give some."
            )
        labels = [out.argmax(dim=1) if y is None else y for out, (_, y) in zip(outputs, read, strict=True)]
        return cls(read, labels, labelled, *_judged(outputs, labels, metric), metric)

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(len(y) for y in self.labels)

    def drop(self, small: nn.Module) -> Drop:
        """What a smaller network loses: by `upper_drop`, or by the jackknife for a user's own metric."""
        outputs = [_scores(small, x) for x, _ in self.read]
        value, after = _judged(outputs, self.labels, self.metric)
        measured = self.value - value
        lost = self.before - after
        if self.metric is not None:
            bound = measured + Z * jackknife_error(lost)
        else:
            bound = upper_drop(
                float(np.maximum(lost, 0).sum()), float(np.maximum(-lost, 0).sum()), self.samples
            )
        return Drop(100 * measured, 100 * bound, self.samples)

    def tells(self, drop: float) -> bool:
        """Whether there are samples enough that a network which changes nothing keeps within a drop of points."""
        return self.metric is not None or 100 * upper_drop(0, 0, self.samples) <= drop

    def remarks(self, drop: float, found: Drop) -> tuple[str, ...]:
        """The drop of the finished network, and what may be wrong with that number."""
        remarks = [f"Accuracy: {found}."]
        enough = math.inf if drop == 0 else samples_for(drop)
        few = f"Warning: {self.samples:,} held-out samples"
        remedy = f"with {enough:,} {{}}: give more data, a larger calibrate or a holdout"
        if not self.tells(drop):
            would = remedy.format("it can be told") if drop else "no number of them can: give a larger drop"
            remarks.append(
                f"{few} cannot tell a drop of {drop:g} points from noise, so the measured one decided; {would}."
            )
        elif self.samples < enough:
            further = remedy.format("it can go further")
            remarks.append(f"{few} are few for a drop of {drop:g} points, so the cut is cautious; {further}.")
        if self.metric is None and self.labelled and self.value >= _BY_HEART:
            remarks.append(
                f"The original gets {100 * self.value:.1f} % of the held-out samples right: if it was trained on them, "
                "new samples may lose more than this; prune() takes others as `holdout`."
            )
        return tuple(remarks)


@torch.no_grad()
def _scores(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with evaluation(model):
        out: Any = answer_of(model(*(x.to(device_of(model), copy=True) for x in inputs)))
    if not isinstance(out, Tensor) or out.dim() < 2:
        raise InputError(
            "accuracy_drop: the network's output is no tensor of class scores; use another target."
        )
    return out.cpu()


def _judged(
    outputs: Sequence[Tensor], labels: Sequence[Tensor], metric: Metric | None
) -> tuple[float, FloatArray]:
    if metric is not None:
        return left_out(metric, torch.cat(list(outputs)), torch.cat([y.cpu() for y in labels]))
    parts = [right(out, y.cpu()).numpy() for out, y in zip(outputs, labels, strict=True)]
    scores = np.concatenate(parts)
    return float(scores.mean()), scores
