"""A data set with its two parts, and the parts of it that calibration may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Subset

from secateurs.contracts import IntArray
from secateurs.errors import InputError


@dataclass(frozen=True, eq=False)
class DataSource:
    """A training and a test part, each a map-style Dataset of (input, label).

    `classes` are the names of the classes in the order of the labels, empty where they are not known. One
    fifth of the training part is set aside for `holdout`; `calibration` draws from the rest. The two never
    meet, whatever their sizes and seeds, and neither ever sees the test part.

    `groups` tells samples of one origin, shape (n,), such as stretches of one recording: they are never parted.
    `remarks` are what there is to be known about the data, such as how many files were left out.
    """

    name: str
    train: Dataset[Any]
    test: Dataset[Any]
    classes: tuple[str, ...] = ()
    groups: IntArray | None = None
    remarks: tuple[str, ...] = ()

    def calibration(self, n: int, seed: int = 0) -> Subset[Any]:
        """At most `n` samples of the training part, drawn without replacement; same seed, same samples.

        Raises:
            InputError: `n` is less than 1.
        """
        _, rest = self._parts()
        return self._draw(rest, n, seed)

    def holdout(self, n: int, seed: int = 0) -> Subset[Any]:
        """At most `n` samples of the training part that `calibration` never gives.

        Raises:
            InputError: `n` is less than 1.
        """
        aside, _ = self._parts()
        return self._draw(aside, n, seed)

    def validation(self, share: float) -> tuple[Subset[Any], Subset[Any]]:
        """Training and validation part of the training part; up to a fifth, calibration never gives the latter.

        Raises:
            InputError: `share` is not in (0, 0.5].
        """
        if not 0 < share <= 0.5:
            raise InputError(
                f"The validation part is to be {share:g} of the training part; give a share to 0.5."
            )
        aside, rest = self._parts(share)
        return Subset(self.train, sorted(rest.tolist())), Subset(self.train, sorted(aside.tolist()))

    def _parts(self, share: float = 0.2) -> tuple[IntArray, IntArray]:
        size = len(self.train)  # type: ignore[arg-type]
        if size < 2:
            raise InputError(f"The training part of '{self.name}' has {size} samples; at least 2 are needed.")
        if self.groups is None or len(np.unique(self.groups)) < 2:
            order = permutation(size, seed=0)
            cut = max(1, int(size * share))
            return order[:cut], order[cut:]
        names, sizes = np.unique(self.groups, return_counts=True)
        shuffled = permutation(len(names), seed=0)
        before = np.cumsum(sizes[shuffled]) - sizes[shuffled]
        chosen = shuffled[: max(1, min(int((before < int(size * share)).sum()), len(names) - 1))]
        aside = np.isin(self.groups, names[chosen])
        return np.flatnonzero(aside), np.flatnonzero(~aside)

    def _draw(self, pool: IntArray, n: int, seed: int) -> Subset[Any]:
        if n < 1:
            raise InputError(f"The number of samples must be at least 1, got {n}.")
        return Subset(self.train, [int(pool[i]) for i in permutation(len(pool), seed)[:n]])


def permutation(n: int, seed: int) -> IntArray:
    """A random order of 0..n-1, the same on every machine and with every numpy.

    Example:
        >>> sorted(permutation(4, seed=1).tolist())
        [0, 1, 2, 3]
    """
    # The stream of RandomState is frozen, that of default_rng may change between releases of numpy.
    return np.random.RandomState(seed).permutation(n).astype(np.int64)


def split(labels: IntArray, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Four fifths for training and one fifth for testing, of every class alike.

    The samples of each class are shuffled, the classes put one after the other, and every fifth sample of
    that row is for testing: classes of fewer than five samples are served in turn.

    Args:
        labels: Class of each sample, shape (n,).
        seed: Seed of the shuffle.

    Returns:
        Indices for training and for testing, each sorted.

    Example:
        >>> train, test = split(np.repeat([0, 1], 10))
        >>> len(train), len(test), int((test < 10).sum())
        (16, 4, 2)
    """
    shuffled = permutation(len(labels), seed)
    row = shuffled[np.argsort(labels[shuffled], kind="stable")]
    testing = np.arange(len(row)) % 5 == 2
    return np.sort(row[~testing]), np.sort(row[testing])
