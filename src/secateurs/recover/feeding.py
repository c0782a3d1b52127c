"""The batches of a training: its samples in a fresh order every epoch, this process's part of each, seen anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from secateurs.contracts import Loader
from secateurs.data.augment import Crops, Shifts
from secateurs.data.batches import batches
from secateurs.errors import InputError
from secateurs.meters.scoring import answer_of
from secateurs.recover.samples import Samples, parted, samples_of
from secateurs.tuning import VIEWS, TuneConfig

_FEW = 2
"""Samples of every process that a training can be asked with, and that a network is tried on."""


def views_of(name: Any) -> Any:
    """What a name of `augment` stands for; a function of images and a generator stays what it is.

    Raises:
        InputError: It is neither.

    Example:
        >>> views_of("crop"), views_of("none")
        (Shifts(pixels=None, mirror=False), None)
    """
    known = {"none": None, "crop": Shifts(mirror=False), "crop-flip": Shifts(), "zoom-flip": Crops()}
    if isinstance(name, str) and name in known:
        return known[name]
    if isinstance(name, str) or not callable(name):
        raise InputError(
            f"augment is {name!r}; give one of {', '.join(VIEWS)}, or a function of images and a generator."
        )
    return name


@dataclass(frozen=True, eq=False)
class Part:
    """One process's part of a batch.

    Attributes:
        inputs: As the network takes them, on the device.
        labels: Of the samples, None where there are none.
        count: How many samples these are. 0 where the batch has fewer than there are processes: the one that is here
            then counts for nothing, and keeps this process in step with the others.
        weight: Of its mean loss, so that the mean over the processes is the mean over the samples of the batch.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    count: int
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Feed:
    """What a training reads: `samples` by number or a `loader` in its own batches, and what is kept apart.

    Attributes:
        samples: Samples by number; None with a loader.
        loader: A loader with a length; None with samples.
        validation: What decides which epoch is kept, None for none.
        views: What images are shown as.
        batch: Samples a step, of all processes; the last of an epoch may have fewer.
        steps: Steps an epoch.
        count: How many samples there are to train on; None for a loader.
        device: Where the network lies.
        seed: Of the order and of the views.
        least: Samples of a process's part of a batch at least; a last batch with fewer is left out.
        remarks: What there is to be known about the data.
    """

    samples: Samples | None
    loader: Any
    validation: Any
    views: Any
    batch: int
    steps: int
    count: int | None
    device: torch.device
    seed: int
    least: int = 1
    remarks: tuple[str, ...] = ()

    def sample(self) -> tuple[Tensor, ...]:
        """A few inputs, as the network takes them."""
        if self.samples is None:
            inputs, _ = next(iter(batches(self.loader, limit=_FEW)))
        else:
            inputs, _ = next(iter(self.samples.several([torch.arange(min(_FEW, len(self.samples)))])))
            inputs = self.samples.finished(inputs)
        return tuple(x.to(self.device) for x in inputs)

    def epoch(self, number: int, part: tuple[int, int]) -> Iterator[Part]:
        """The batches of an epoch for one of several processes, on the device.

        The order and the shifts are drawn for all processes together: the batches of two, put together, are those of
        one process.

        Args:
            number: Of the epoch, from 0.
            part: This process's number, and how many there are.
        """
        rank, world = part
        general = _generator(self.seed, number)
        own = _generator(self.seed, number, 1 + rank)
        if self.samples is None:
            yield from self._loaded(number, own)
            return
        order = torch.randperm(len(self.samples), generator=general)
        rows = [order[k : k + self.batch] for k in range(0, self.steps * self.batch, self.batch)]
        places = [_place(len(row), rank, world) for row in rows]
        read = self.samples.several([row[mine] for row, (mine, _) in zip(rows, places, strict=True)])
        for row, (mine, count), (inputs, labels) in zip(rows, places, read, strict=True):
            weight = count * world / len(row)
            if isinstance(self.views, Shifts):
                uniform = self.views.drawn(len(row), general)[mine]
                first = self.views.moved(inputs[0].to(self.device), uniform)
                shown = self.samples.finished((first, *inputs[1:]))
            else:
                shown = self._seen(self.samples.finished(inputs), own)
            yield self._placed(shown, labels, count, weight)

    def _loaded(self, number: int, own: torch.Generator) -> Iterator[Part]:
        sampler = getattr(self.loader, "sampler", None)
        if isinstance(sampler, DistributedSampler):
            sampler.set_epoch(number)
        for inputs, labels in batches(self.loader):
            if len(inputs[0]) >= self.least:
                yield self._placed(self._seen(inputs, own), labels, len(inputs[0]))

    def _seen(self, inputs: tuple[Tensor, ...], own: torch.Generator) -> tuple[Tensor, ...]:
        if self.views is None:
            return inputs
        return (self.views(inputs[0].to(self.device), own), *inputs[1:])

    def _placed(
        self, inputs: tuple[Tensor, ...], labels: Tensor | None, count: int, weight: float = 1.0
    ) -> Part:
        placed = tuple(x.to(self.device, non_blocking=True) for x in inputs)
        target = None if labels is None else labels.to(self.device, non_blocking=True)
        return Part(placed, target, count, weight)

    def answer(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """The scores (b, classes) that a network gives.

        Raises:
            InputError: It does not take the inputs, or gives something else.
        """
        try:
            found: Any = answer_of(model(*inputs))
        except (TypeError, ValueError) as error:
            shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
            raise InputError(
                f"The network does not take the data's inputs (shapes {shapes}): {error}"
            ) from error
        if not isinstance(found, Tensor) or found.dim() != 2:
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"The network gives {what}, where training needs scores (samples, classes).")
        scores: Tensor = found.float()
        return scores

    def checked(self, labels: Tensor | None, outputs: Tensor) -> Tensor:
        """Labels as the loss takes them: classes (b,), or zeros and ones (b, classes).

        Raises:
            InputError: There are none, or they are something else. Classes are compared with the outputs on the CPU
                alone, as an accelerator would have to be waited for.
        """
        if labels is None:
            raise InputError("The data have no labels: give (inputs, labels), or a teacher and labels=0.")
        if labels.dim() == 2 and labels.shape[1] > 1:
            if labels.shape != outputs.shape:
                raise InputError(
                    f"The labels have shape {tuple(labels.shape)} and the outputs {tuple(outputs.shape)}: give one "
                    "class a sample, or zeros and ones of the outputs' shape."
                )
            return labels.to(outputs.dtype)
        classes = labels.reshape(len(labels), -1).squeeze(1)
        if classes.dim() != 1 or classes.is_floating_point():
            raise InputError(
                f"The labels have shape {tuple(labels.shape)} and type {labels.dtype}; give classes (b,)."
            )
        if (
            classes.device.type == "cpu"
            and not 0 <= int(classes.min()) <= int(classes.max()) < outputs.shape[1]
        ):
            raise InputError(
                f"The data hold the classes {int(classes.min())} to {int(classes.max())}, the network has "
                f"{outputs.shape[1]} outputs (classes from 0): they do not belong together."
            )
        return classes.long()


def _place(size: int, rank: int, world: int) -> tuple[slice, int]:
    """Where in a batch a process's part lies, and how many of it count; the parts differ by one sample at most.

    Example:
        >>> [_place(5, rank, 2) for rank in range(2)]
        [(slice(0, 2, None), 2), (slice(2, 5, None), 3)]
        >>> [_place(1, rank, 2) for rank in range(2)]
        [(slice(0, 1, None), 0), (slice(0, 1, None), 1)]
    """
    begin, end = rank * size // world, (rank + 1) * size // world
    return (slice(begin, end), end - begin) if end > begin else (slice(0, 1), 0)


def feed_of(
    data: Loader,
    validation: Loader | None,
    config: TuneConfig,
    device: torch.device,
    least: int = 1,
) -> Feed:
    """The feed of a training, with a validation part taken from the data where none is given.

    Args:
        data: As `tune_` takes them.
        validation: The same.
        config: The settings.
        device: Where the network lies.
        least: Samples of a process's part of a batch at least, 2 in front of batch norm.

    Raises:
        InputError: Too few samples, a loader without a length, or one whose batches cannot be shared out.
    """
    from_data = samples_of(data, device, config.workers)
    world = _world()
    views = views_of(config.augment)
    if from_data is None:
        return _of_loader(data, validation, config, device, views, world, least)
    if validation is None and config.held_out > 0:
        data, validation = parted(data, config.held_out)
        from_data = samples_of(data, device, config.workers)
    assert from_data is not None
    total = len(from_data)
    batch = min(config.batch, total)
    if config.batch % world or batch < _FEW * world:
        raise InputError(
            f"batch is {batch} for {total} samples and {world} processes; give a multiple of the processes, two "
            "samples each at least."
        )
    steps, rest = divmod(total, batch)
    remarks: tuple[str, ...] = ()
    if least == 1 or rest // world >= least:
        steps += rest > 0
    elif rest:
        remarks = (
            f"the last {rest} of {total} samples in the order of an epoch, drawn anew for each, are not trained on: "
            "batch norm needs two in every process",
        )
    return Feed(from_data, None, validation, views, batch, steps, total, device, config.seed, least, remarks)


def _of_loader(
    data: Any,
    validation: Any,
    config: TuneConfig,
    device: torch.device,
    views: Any,
    world: int,
    least: int,
) -> Feed:
    try:
        steps = len(data)
    except TypeError:
        raise InputError(
            f"data: a {type(data).__name__} has no length; give tensors (x, y), a Dataset, or a DataLoader."
        ) from None
    if world > 1 and not isinstance(getattr(data, "sampler", None), DistributedSampler):
        raise InputError(
            "data: a loader gives every process the same batches; give its Dataset, or a DataLoader with a "
            "DistributedSampler."
        )
    loader = data if isinstance(data, DataLoader) else list(data)
    remarks: tuple[str, ...] = ()
    if validation is None and config.held_out > 0:
        remarks = ("a loader cannot be parted: the last epoch is kept; give `validation`, or the Dataset",)
    return Feed(None, loader, validation, views, 0, steps, None, device, config.seed, least, remarks)


def _world() -> int:
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def _generator(*numbers: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
