"""What the end of a training depends on, as text: a checkpoint with another key is of another training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, IterableDataset

from secateurs.contracts import Loader
from secateurs.layers.tensors import add_to_hash
from secateurs.recover.samples import Held, Read, Samples, samples_of
from secateurs.tuning import TuneConfig

LOOKED_INTO = 32
"""Samples of a Dataset that are read to tell it from others; reading all would take as long as an epoch."""
_ANEW = "drawn anew"


def key_of(
    model: nn.Module,
    teacher: nn.Module | None,
    data: Loader,
    validation: Loader | None,
    steps: int,
    config: TuneConfig,
) -> str:
    """The key of a training: settings, both networks with their weights, and what is trained and chosen on.

    Args:
        model: Before its first step.
        teacher: What is learnt from, None for nothing.
        data: As `tune_` was given them.
        validation: The same.
        steps: Steps an epoch.
        config: The settings.
    """
    parts = {
        "config": config.told(),
        "model": of_network(model),
        "teacher": None if teacher is None else of_network(teacher),
        "steps": steps,
        "data": of_data(data),
        "validation": None if validation is None else of_data(validation),
    }
    return json.dumps(parts, sort_keys=True)


def of_network(model: nn.Module) -> str:
    """The hash of a network's tensors by name.

    Example:
        >>> of_network(nn.Linear(2, 2, bias=False)) == of_network(nn.Linear(2, 2, bias=False))
        False
    """
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        add_to_hash(found, tensor)
    return found.hexdigest()


def of_data(data: Loader) -> list[Any]:
    """How many samples there are, and hashes of their inputs and labels.

    Tensors, images held as bytes and a list of batches are hashed whole. Of a Dataset that is read from elsewhere,
    alone or in a DataLoader, some samples are, spread evenly over it; what is drawn anew at every reading, such as a
    crop at random, tells nothing and is left out. Of other loaders only the length is known.

    Cost:
        A hash of what is in memory (0.2 s for the images of CIFAR-10), or twice `LOOKED_INTO` samples read.

    Example:
        >>> x, y = torch.zeros(4, 2), torch.arange(4)
        >>> of_data((x, y)) == of_data((x, y)), of_data((x, y)) == of_data((x, y.flip(0)))
        (True, False)
    """
    known = samples_of(data, torch.device("cpu"))
    if known is None and isinstance(data, DataLoader) and not isinstance(data.dataset, IterableDataset):
        known = Read(data.dataset)
    if known is not None:
        return [len(known), *_of_samples(known)]
    return [len(data), _hashed(data) if isinstance(data, (list, tuple)) else _ANEW]


def _of_samples(samples: Samples) -> tuple[str, str]:
    """Hashes of inputs and labels."""
    if isinstance(samples, Held):
        return _hashed(samples.inputs), _hashed(samples.labels)
    assert isinstance(samples, Read)
    chosen = np.linspace(0, len(samples) - 1, min(LOOKED_INTO, len(samples))).round().astype(int).tolist()
    first, second = (_looked_into(samples.dataset, chosen) for _ in range(2))
    inputs, labels = (a if a == b else _ANEW for a, b in zip(first, second, strict=True))
    return inputs, labels


def _looked_into(dataset: Any, chosen: Sequence[int]) -> tuple[str, str]:
    """Hashes of the inputs and of the labels of some samples, the last of what a sample is made of being the label."""
    several = [dataset[number] for number in chosen]
    parted = [
        (one[:-1], one[-1]) if isinstance(one, (tuple, list)) and len(one) > 1 else (one, None)
        for one in several
    ]
    return _hashed([inputs for inputs, _ in parted]), _hashed([label for _, label in parted])


def _hashed(values: Any) -> str:
    """The hash of everything in nested lists and mappings; of what has no plain value, of its kind alone."""
    found = hashlib.sha256()
    for leaf in pytree.tree_leaves(values):
        if isinstance(leaf, np.ndarray) and leaf.dtype != object:
            leaf = torch.from_numpy(np.ascontiguousarray(leaf))
        if isinstance(leaf, Tensor):
            add_to_hash(found, leaf)
        else:
            plain = isinstance(leaf, (bool, int, float, str, bytes, np.generic))
            found.update(f"{leaf if plain else type(leaf)!r};".encode())
    return found.hexdigest()
