"""One way to read whatever a user hands in as data: loaders, datasets, tensors, pairs, dicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, default_collate

from secateurs.contracts import Loader
from secateurs.errors import InputError, SecateursError

Batch: TypeAlias = tuple[tuple[Tensor, ...], Tensor | None]
_LABEL_KEYS = ("labels", "label", "targets", "target", "y")


@runtime_checkable
class Batched(Protocol):
    """A dataset that can make a whole batch at once, faster than sample by sample."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def batch(self, indices: Sequence[int], /) -> Any:
        """The samples at `indices`, stacked: (inputs, labels)."""
        ...


def batches(data: Loader, batch_size: int = 256, *, limit: int | None = None) -> Iterator[Batch]:
    """Read data as pairs (inputs, labels), in their own order.

    What is understood: a tensor or a tuple `(x, y)` of tensors (cut into batches); a map-style Dataset
    (batched, at once where it has a `batch` method); a DataLoader, a list, or any other iterable of batches
    (its own batch sizes). A batch is a tensor, a pair or longer tuple whose last entry is the labels, or a
    dict, where the labels are under `labels`, `label`, `targets`, `target` or `y`. Arrays of numpy count as
    tensors.

    Args:
        data: The data; read from the start.
        batch_size: Samples a batch, where `data` does not come in batches.
        limit: Stop after this many samples; the last batch is cut to fit.

    Yields:
        A tuple of the model's positional inputs, each (b, ...), and the labels (b, ...) or None.

    Raises:
        InputError: something else, nothing at all, or batches without tensors.

    Example:
        >>> pairs = (torch.zeros(5, 3), torch.arange(5))
        >>> [(x.shape[0], y.tolist()) for (x,), y in batches(pairs, 2)]
        [(2, [0, 1]), (2, [2, 3]), (1, [4])]
    """
    for what, value in (("batch_size", batch_size), ("limit", 1 if limit is None else limit)):
        if value < 1:
            raise InputError(f"{what} must be at least 1, got {value}.")
    read = 0
    for raw in _told(_raw_batches(data, batch_size)):
        inputs, labels = _split(raw)
        size = inputs[0].shape[0]
        if size == 0:
            continue
        if limit is not None and read + size > limit:
            size = limit - read
            inputs, labels = tuple(x[:size] for x in inputs), None if labels is None else labels[:size]
        read += size
        yield inputs, labels
        if read == limit:
            return
    if not read:
        raise InputError("The data hold no sample: nothing came from the loader or dataset.")


def _told(several: Iterator[Any]) -> Iterator[Any]:
    """The same batches; where reading fails half-way, the sentence says how far it came."""
    for number in itertools.count():
        try:
            batch = next(several)
        except StopIteration:
            return
        except (SecateursError, MemoryError):
            raise
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise InputError(
                f"data: reading them failed after {number} batches ({type(error).__name__}: {first}); mend the loader "
                "or the file it was reading."
            ) from error
        yield batch


def joined(data: Loader, limit: int) -> list[Tensor]:
    """Every input of the first `limit` samples as one tensor; labels are dropped.

    Raises:
        InputError: as `batches`.

    Example:
        >>> [x.shape for x in joined((torch.zeros(5, 3), torch.arange(5)), 4)]
        [torch.Size([4, 3])]
    """
    read = [inputs for inputs, _ in batches(data, limit=limit)]
    return [torch.cat(parts) for parts in zip(*read, strict=True)]


def count(data: Loader) -> int | None:
    """Number of samples where the data know it without being read, else None.

    Example:
        >>> count(torch.zeros(7, 3)), count(iter([]))
        (7, None)
    """
    known: Any = getattr(data, "samples", None)
    if isinstance(known, int):
        return known
    if isinstance(data, (Tensor, np.ndarray)):
        return int(data.shape[0])
    if _is_arrays(data):
        return int(data[0].shape[0])
    if isinstance(data, DataLoader):
        data = data.dataset
    elif not _is_dataset(data):
        return None
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None


def _raw_batches(data: Any, size: int) -> Iterator[Any]:
    if isinstance(data, (Tensor, np.ndarray)):
        return (data[k : k + size] for k in range(0, len(data), size))
    if _is_arrays(data):
        return _cut_arrays(data, size)
    if isinstance(data, Mapping):
        return iter([data])
    if _is_dataset(data):
        return _dataset_batches(data, size)
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        return iter(data)
    if hasattr(data, "train") and hasattr(data, "test"):
        raise InputError("Data with a training and a test part: say which of them (`.train`, `.test`).")
    raise InputError(
        f"Data of type {type(data).__name__} cannot be read: give a DataLoader, a Dataset, a tensor (b, "
        "...), a pair (inputs, labels), or a list of batches."
    )


def _is_arrays(data: Any) -> bool:
    return (
        isinstance(data, tuple) and len(data) > 0 and all(isinstance(x, (Tensor, np.ndarray)) for x in data)
    )


def _is_dataset(data: Any) -> bool:
    if isinstance(data, (Dataset, Batched)):
        return True
    return (
        hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
        and not isinstance(data, (Sequence, DataLoader))
    )


def _cut_arrays(arrays: tuple[Any, ...], size: int) -> Iterator[Any]:
    lengths = [len(x) for x in arrays]
    if len(set(lengths)) > 1:
        raise InputError(f"Inputs and labels differ in length: {', '.join(map(str, lengths))}.")
    return (tuple(x[k : k + size] for x in arrays) for k in range(0, lengths[0], size))


def _dataset_batches(dataset: Any, size: int) -> Iterator[Any]:
    if isinstance(dataset, IterableDataset):
        yield from DataLoader(dataset, batch_size=size, collate_fn=collate)
        return
    for start in range(0, len(dataset), size):
        yield stack(dataset, range(start, min(start + size, len(dataset))))


def stack(dataset: Any, indices: Sequence[int]) -> Any:
    """The samples of a map-style dataset at `indices` as one batch, by its own `batch` where it has one.

    Raises:
        InputError: the samples cannot be stacked.

    Example:
        >>> stack([(torch.zeros(2), 1), (torch.ones(2), 0)], [1, 0])[1]
        tensor([0, 1])
    """
    if isinstance(dataset, Subset):
        return stack(dataset.dataset, [dataset.indices[i] for i in indices])
    if isinstance(dataset, Batched):
        return dataset.batch(indices)
    return collate([dataset[i] for i in indices])


def collate(samples: Sequence[Any]) -> Any:
    """PyTorch's own collation, with a clear message where samples do not stack.

    Raises:
        InputError: samples of different shapes, or of a kind that PyTorch does not stack.

    Example:
        >>> collate([(torch.zeros(2), 1), (torch.ones(2), 0)])[1]
        tensor([1, 0])
    """
    try:
        return default_collate(list(samples))
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        raise InputError(
            f"The samples of the dataset do not stack to a batch ({error}): all inputs must be tensors of "
            "one shape."
        ) from error


def _split(raw: Any) -> Batch:
    labels: Any = None
    if isinstance(raw, Mapping):
        key = next((k for k in _LABEL_KEYS if k in raw), None)
        labels = None if key is None else raw[key]
        inputs: Any = [value for k, value in raw.items() if k != key]
    elif isinstance(raw, (tuple, list)) and len(raw) > 1:
        inputs, labels = (raw[0], raw[1]) if len(raw) == 2 else (list(raw[:-1]), raw[-1])
    else:
        inputs = raw
    inputs = inputs if isinstance(inputs, (tuple, list)) else [inputs]
    tensors = tuple(_tensor(x) for x in inputs)
    if not tensors or any(x is None or x.dim() == 0 for x in tensors):
        kinds = ", ".join(type(x).__name__ for x in inputs) or "nothing"
        raise InputError(
            f"A batch of the data holds {kinds}, where inputs must be tensors with the batch axis first."
        )
    found = tuple(x for x in tensors if x is not None)
    target = _tensor(labels)
    if target is not None and (target.dim() == 0 or target.shape[0] != found[0].shape[0]):
        raise InputError(
            f"A batch of the data has {found[0].shape[0]} inputs, but labels of shape {tuple(target.shape)}."
        )
    return found, target


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype != object:
        return torch.from_numpy(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, (int, float)) for v in value):
        return torch.tensor(value)
    return None
