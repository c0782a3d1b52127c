"""What a training minimises: by labels, by a teacher's outputs, and by what is inside it, on one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.recover.feeding import Feed
from secateurs.recover.hints import Watched
from secateurs.recover.losses import hint_loss, label_loss, mixed_label_loss, teacher_loss
from secateurs.tuning import TuneConfig


@dataclass(frozen=True, eq=False)
class Objective:
    """The loss of a `TuneConfig` on a batch.

    Attributes:
        config: Weights of its terms, smoothing, mixing and layout.
        feed: Makes scores and labels of what a network and the data give.
        teacher: In evaluation, where the network lies; None without.
        places: Blocks that are compared with the teacher's, with the channels of its that stayed.
        inside: What left these blocks, in the network and in the teacher.
        around: What the teacher runs in, such as mixed precision.
    """

    config: TuneConfig
    feed: Feed
    teacher: nn.Module | None
    places: Mapping[str, Tensor | None]
    inside: tuple[Watched, Watched]
    around: Callable[[], AbstractContextManager[Any]]

    def __call__(
        self, run: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor | None, place: tuple[int, int]
    ) -> Tensor:
        """The mean over a batch.

        Args:
            run: The network, or what stands for it.
            inputs: Of the batch.
            labels: Of the batch, None where there are none.
            place: Numbers of epoch and step, for what is drawn.
        """
        inputs, part = self._shown(inputs, place)
        outputs = self.feed.answer(run, inputs)
        loss = outputs.new_zeros(())
        if self.config.labels:
            loss = self.config.labels * self._by_labels(outputs, self.feed.checked(labels, outputs), part)
        return loss if self.teacher is None else loss + self._by_teacher(outputs, inputs, labels)

    def _shown(self, inputs: tuple[Tensor, ...], place: tuple[int, int]) -> tuple[tuple[Tensor, ...], float]:
        """Inputs mixed and laid out, and the part of each that is its own."""
        config, part = self.config, 1.0
        first, *others = inputs
        if config.mixup > 0:
            part = float(np.random.default_rng((config.seed, *place)).beta(config.mixup, config.mixup))
            first = part * first + (1 - part) * first.flip(0)
        if config.channels_last and first.dim() == 4:
            first = first.contiguous(memory_format=torch.channels_last)
        return (first, *others), part

    def _by_labels(self, outputs: Tensor, target: Tensor, part: float) -> Tensor:
        smoothing = self.config.label_smoothing
        if part < 1:
            return mixed_label_loss(outputs, target, target.flip(0), part, smoothing)
        return label_loss(outputs, target, smoothing)

    def _by_teacher(self, outputs: Tensor, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Tensor:
        assert self.teacher is not None
        config, loss = self.config, outputs.new_zeros(())
        with torch.no_grad(), self.around():
            wanted = self.feed.answer(self.teacher, inputs)
        weight = config.temperature**2 if config.distil is None else config.distil
        if weight:
            several = labels is not None and labels.dim() == 2 and labels.shape[1] > 1
            loss = weight * teacher_loss(outputs, wanted, config.temperature, several)
        return loss + config.hints * self._hints() if self.places else loss

    def _hints(self) -> Tensor:
        found, wanted = (each.taken() for each in self.inside)
        for name, positions in self.places.items():
            found[name], wanted[name] = found[name].float(), wanted[name].float()
            if positions is not None:
                wanted[name] = wanted[name].index_select(1, positions.to(wanted[name].device))
        return hint_loss(found, wanted, list(self.places))
