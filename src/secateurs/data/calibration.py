"""Calibration: the samples of a run, read once, and the one rule by which some of them are kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

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

    @property
    def samples(self) -> int | None:
        """How many samples there are where the data know, else None."""
        known = count(self.data)
        return None if known is None else min(known, self.limit)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of inputs and labels, from memory as far as they have been read."""
        if not self._rest:
            self._rest.append(batches(self.data, _BATCH, limit=self.limit))
        place = 0
        while True:
            if place == len(self._read):
                batch = next(self._rest[0], None)
                if batch is None:
                    return
                self._read.append(batch)
            yield self._read[place]
            place += 1


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
