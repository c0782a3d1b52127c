"""Calibration: the samples of a run, read once, and the one rule by which some of them are kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from secateurs.checks import check_whole
from secateurs.contracts import Loader
from secateurs.data.batches import Batch, batches, count

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Calibration:
    """The first `limit` samples of some data, held as they are read; what nobody asks for is not read.

    A loader that shuffles, augments or can be read only once gives the same samples at every reading.

    Attributes:
        data: Whatever `batches` reads.
        limit: At most so many samples.

    Raises:
        InputError: On the first reading, as `batches`.

    Example:
        >>> held = Calibration((torch.full((2, 3), float(i)) for i in range(9)), 5)
        >>> [[len(x) for (x,), _ in batches(held)] for _ in range(2)]
        [[2, 2, 1], [2, 2, 1]]
    """

    data: Loader
    limit: int
    _read: list[Batch] = field(default_factory=list, repr=False)
    _rest: list[Iterator[Batch]] = field(default_factory=list, repr=False)
    _problem: list[Exception] = field(default_factory=list, repr=False)
    _lock: Any = field(default_factory=Lock, repr=False)

    def __post_init__(self) -> None:
        check_whole("limit", self.limit)

    @property
    def samples(self) -> int | None:
        """How many samples there are where the data know, else None."""
        known = count(self.data)
        return None if known is None else min(known, self.limit)

    def __iter__(self) -> Iterator[Batch]:
        """Copies of the batches of inputs and labels, from memory as far as they have been read.

        They are copies, as a network may work in place on what it is given. What stopped a reading stops the next.
        """
        place = 0
        while self._has(place):
            inputs, labels = self._read[place]
            yield tuple(x.clone() for x in inputs), labels
            place += 1

    def _has(self, place: int) -> bool:
        """Read on where a batch is not in memory; False at the end."""
        with self._lock:
            if place < len(self._read):
                return True
            if self._problem:
                raise self._problem[0]
            try:
                if not self._rest:
                    self._rest.append(batches(self.data, _BATCH, limit=self.limit))
                batch = next(self._rest[0], None)
            except Exception as problem:
                self._problem.append(problem)
                raise
            if batch is not None:
                self._read.append(batch)
            return batch is not None


def kept_apart(total: int, number: int) -> Tensor:
    r"""Mark `number` of `total` samples, spread evenly, as data may be sorted by class.

    Sample i is marked where $\lfloor (i + 1) k / n \rfloor > \lfloor i k / n \rfloor$ for k of n samples.

    Returns:
        Shape (total,), True for those that are kept apart.

    Example:
        >>> kept_apart(10, 3).nonzero().flatten().tolist()
        [3, 6, 9]
    """
    place = torch.arange(total, dtype=torch.int64)
    return (place + 1) * number // total > place * number // total
