"""Data from the user's own code: a callable that returns (train, test)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from secateurs.data.batches import Batched, batches
from secateurs.data.dotted import load_callable
from secateurs.data.source import DataSource
from secateurs.errors import InputError


@dataclass(frozen=True, eq=False)
class Collated(Dataset[Any]):
    """A dataset whose batches are made by the loader's own collate function."""

    dataset: Any
    collate: Any

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def batch(self, indices: Sequence[int]) -> Any:
        """The samples at `indices`, as the loader would stack them."""
        return self.collate([self.dataset[i] for i in indices])


@dataclass(frozen=True, eq=False)
class Held(Dataset[Any]):
    """Inputs, each (n, ...), and labels (n, ...) or None, held in memory."""

    inputs: tuple[Tensor, ...]
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def __getitem__(self, index: int) -> Any:
        inputs, labels = self.batch([index])
        return tuple(x[0] for x in inputs), None if labels is None else labels[0]

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """The samples at `indices`."""
        chosen = list(indices)
        return tuple(x[chosen] for x in self.inputs), None if self.labels is None else self.labels[chosen]


def own_data(spec: str) -> DataSource:
    """Call `package.module:callable` and take its (train, test) loaders or datasets, or its `DataSource`.

    A loader of a map-style dataset is replaced by that dataset with the loader's own way of stacking, so that
    samples can be drawn; shuffling and batch size are then this library's. Anything that can only be iterated
    is read into memory.

    Raises:
        InputError: the callable cannot be found, fails, or returns something else.

    Example:
        >>> own_data("os:getcwd")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data 'os:getcwd' gave a str, not a pair (train, test).
    """
    function = load_callable(spec, "data")
    try:
        made = function()
    except Exception as error:
        raise InputError(f"The data '{spec}' failed with {type(error).__name__}: {error}.") from error
    if isinstance(made, DataSource):
        return made
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        found = type(made).__name__
        found += f" of {len(made)}" if isinstance(made, (tuple, list)) else ""
        raise InputError(f"The data '{spec}' gave a {found}, not a pair (train, test).")
    train, test = (_dataset(part, spec) for part in made)
    return DataSource(spec, train, test, _classes(train))


def _classes(dataset: Any) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None) or getattr(getattr(dataset, "dataset", None), "classes", None)
    return tuple(str(name) for name in names or ())


def _dataset(part: Any, spec: str) -> Dataset[Any]:
    if isinstance(part, DataLoader) and not isinstance(part.dataset, IterableDataset):
        plain = part.collate_fn is default_collate or isinstance(part.dataset, Batched)
        return part.dataset if plain else Collated(part.dataset, part.collate_fn)
    if isinstance(part, Dataset) and not isinstance(part, IterableDataset):
        return part
    try:
        read = list(batches(part))
    except InputError as error:
        raise InputError(f"The data '{spec}': {error}") from error
    inputs = tuple(torch.cat(columns) for columns in zip(*(x for x, _ in read), strict=True))
    labels = [y for _, y in read if y is not None]
    return Held(inputs, torch.cat(labels) if len(labels) == len(read) else None)
