"""What an epoch trains on: samples held where the network lies, read from a Dataset, or as a loader gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from secateurs.data.arrays import ImageArray
from secateurs.data.batches import Batch, Batched, batches, collate, stack
from secateurs.data.calibration import kept_apart
from secateurs.errors import InputError


class Samples(Protocol):
    """Samples by number: all that a training in an order of its own needs."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def several(self, orders: Sequence[Tensor]) -> Iterator[Batch]:
        """One batch for each list of numbers."""
        ...

    def finished(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Inputs as the network takes them, from those of a batch, which may be bytes."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """Samples in memory, best where the network lies; `ready` makes bytes of an image what the network takes."""

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    ready: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def several(self, orders: Sequence[Tensor]) -> Iterator[Batch]:
        """Batches cut out of what is held."""
        for order in orders:
            chosen = order.to(self.inputs[0].device, non_blocking=True)
            labels = None if self.labels is None else self.labels[chosen]
            yield tuple(x[chosen] for x in self.inputs), labels

    def finished(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The first input made ready, the others as they are."""
        return inputs if self.ready is None else (self.ready(inputs[0]), *inputs[1:])


@dataclass(frozen=True, eq=False)
class Read:
    """Samples of a Dataset, read anew every time, as they may be drawn at random; by `workers` processes."""

    dataset: Any
    workers: int = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def several(self, orders: Sequence[Tensor]) -> Iterator[Batch]:
        """Batches read sample by sample, or at once where the dataset can."""
        numbers = [order.tolist() for order in orders]
        if self.workers:
            loader = DataLoader(
                self.dataset,
                batch_sampler=numbers,
                collate_fn=collate,
                num_workers=self.workers,
                pin_memory=False,
            )
            return batches(loader)
        return batches(_Lazy(self.dataset, numbers))

    def finished(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The inputs as they are."""
        return inputs


@dataclass(frozen=True, eq=False)
class _Lazy:
    """Batches of a dataset, each read when it is asked for."""

    dataset: Any
    numbers: Sequence[Sequence[int]]

    def __iter__(self) -> Iterator[Any]:
        return (stack(self.dataset, each) for each in self.numbers)


def samples_of(data: Any, device: torch.device, workers: int = 0) -> Samples | None:
    """Samples by number; None for a loader, which has an order of its own.

    Tensors and images held as bytes go to `device` once. A Dataset of another kind is read every epoch, for it may
    give another view of a sample each time.

    Args:
        data: A tensor or a tuple (x, y) of tensors, a map-style Dataset, or a loader.
        device: Where the network lies.
        workers: Processes that read a Dataset.

    Example:
        >>> found = samples_of((torch.zeros(5, 3), torch.arange(5)), torch.device("cpu"))
        >>> [(x.shape[0], y.tolist()) for (x,), y in found.several([torch.tensor([3, 1])])]
        [(2, [3, 1])]
    """
    if isinstance(data, Tensor):
        data = (data,)
        return Held((data[0].to(device),), None)
    if isinstance(data, tuple) and data and all(isinstance(x, Tensor) for x in data):
        return _held(data, device)
    if not isinstance(data, (Dataset, Batched)) or not hasattr(data, "__len__"):
        return None
    root, chosen = _root(data)
    if isinstance(root, ImageArray):
        return _image_bytes(root, chosen, device)
    if isinstance(root, TensorDataset):
        tensors = root.tensors if chosen is None else tuple(x[chosen] for x in root.tensors)
        return _held(tensors, device)
    return Read(data, workers)


def _held(tensors: Sequence[Tensor], device: torch.device) -> Held:
    if len({len(x) for x in tensors}) > 1:
        raise InputError(
            f"data: inputs and labels differ in length: {', '.join(str(len(x)) for x in tensors)}."
        )
    placed = [x.to(device) for x in tensors]
    return Held(tuple(placed[:-1] or placed), placed[-1] if len(placed) > 1 else None)


def _root(data: Any) -> tuple[Any, Tensor | None]:
    """The dataset under all subsets, and which of its samples they are; None for all."""
    if not isinstance(data, Subset):
        return data, None
    root, chosen = _root(data.dataset)
    numbers = torch.as_tensor(data.indices, dtype=torch.long)
    return root, numbers if chosen is None else chosen[numbers]


def _image_bytes(images: ImageArray, chosen: Tensor | None, device: torch.device) -> Held:
    pixels, labels = torch.from_numpy(images.images), torch.from_numpy(images.labels)
    if chosen is not None:
        pixels, labels = pixels[chosen], labels[chosen]
    mean, std = (
        torch.tensor(values, device=device).view(-1, 1, 1)
        for values in (images.normalisation.mean, images.normalisation.std)
    )
    return Held(
        (pixels.contiguous().to(device),),
        labels.to(device),
        lambda x: x.to(torch.float32).div_(images.scale).sub_(mean).div_(std),
    )


def parted(data: Any, share: float) -> tuple[Any, Any]:
    """Training and validation part of data whose samples have numbers; the latter is spread evenly over them.

    Raises:
        InputError: A part would be empty.

    Example:
        >>> [x.tolist() for x in (part[0] for part in parted((torch.arange(4.0), torch.arange(4)), 0.25))]
        [[0.0, 1.0, 2.0], [3.0]]
    """
    tensors = (data,) if isinstance(data, Tensor) else data
    total = len(tensors[0]) if isinstance(tensors, tuple) else len(data)
    apart = kept_apart(total, round(share * total))
    if not 0 < int(apart.sum()) < total:
        raise InputError(
            f"held_out is {share:g}, which parts {total} samples so that one part is empty; give another share."
        )
    if isinstance(tensors, tuple):
        first, second = (tuple(x[mask.to(x.device)] for x in tensors) for mask in (~apart, apart))
        return first, second
    first_numbers, second_numbers = ((mask.nonzero().flatten().tolist()) for mask in (~apart, apart))
    return Subset(data, first_numbers), Subset(data, second_numbers)
