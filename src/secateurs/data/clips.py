"""Clips of sound as samples: what a network hears of each, with its labels."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from secateurs.audio import cut, read_clip
from secateurs.contracts import IntArray
from secateurs.data.hearing import Hearing
from secateurs.errors import InputError

_AT_ONCE = 64  # windows that a front end is given at once
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, eq=False)
class Clips(Dataset[tuple[Tensor, Tensor]]):
    """Sound files, each a sample or several, read when they are asked for.

    Attributes:
        files: The clips.
        labels: Of each clip: its class, shape (n,), int64, or zeros and ones, shape (n, classes), float32.
        places: Clip and window of each sample, shape (samples, 2).
        hearing: How clips become samples.
        scale: Mean and deviation of each bin, which broadcast to an input, or None.
    """

    files: tuple[Path, ...]
    labels: Tensor
    places: IntArray
    hearing: Hearing
    scale: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, labels = self.batch([index])
        return inputs[0], labels[0]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Inputs (b, ...) and labels (b,) or (b, classes) of the samples at `indices`; each clip is read once.

        Raises:
            InputError: A clip cannot be used, or clips of several lengths are to be samples of one shape.
        """
        chosen = self.places[np.asarray(indices, dtype=np.int64)]
        clips = np.unique(chosen[:, 0])
        whole = self.hearing.per == "clip"
        rows = {int(c): None if whole else chosen[chosen[:, 0] == c, 1] for c in clips}
        made = dict(
            zip(rows, in_threads(lambda c: features(self.files[c], self.hearing, rows[c]), rows), strict=True)
        )
        if whole:
            inputs = self._stacked([made[int(c)] for c in chosen[:, 0]])
        else:
            taken = dict.fromkeys(rows, 0)
            parts = []
            for c in chosen[:, 0].tolist():
                parts.append(made[c][taken[c]])
                taken[c] += 1
            inputs = torch.stack(parts)
        if self.scale is not None:
            inputs = (inputs - self.scale[0]) / self.scale[1]
        return inputs, self.labels[torch.from_numpy(chosen[:, 0])]

    def _stacked(self, clips: Sequence[Tensor]) -> Tensor:
        counts = sorted({len(clip) for clip in clips})
        if len(counts) > 1:
            raise InputError(
                f"per=clip: clips of a batch have {counts[0]} to {counts[-1]} windows, which are no tensor; take "
                "batches of one clip, or per=window."
            )
        return torch.stack(list(clips))


def features(file: Path, hearing: Hearing, rows: IntArray | None = None) -> Tensor:
    """The inputs that are cut from a clip, shape (windows, ...): all, or those of some numbers.

    Raises:
        InputError: The clip cannot be used.
    """
    if hearing.cache is None:
        return _heard(file, hearing, rows)
    found = hearing.cache.get(file, hearing.key, lambda: _heard(file, hearing, None))
    return found if rows is None else found[torch.from_numpy(rows)]


def _heard(file: Path, hearing: Hearing, rows: IntArray | None) -> Tensor:
    front = hearing.front
    windows = cut(read_clip(file, front.rate, hearing.reading, front.samples), front)
    windows = windows if rows is None else windows[torch.from_numpy(rows)]
    module = front.module()
    return torch.cat([module(part) for part in torch.split(windows, _AT_ONCE)])


def statistics(clips: Clips) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each bin over all clips, as `Clips.scale`; a bin that never changes keeps its spread.

    Cost:
        Every clip is read once.
    """
    spectrum = clips.hearing.front.spectrum
    axis = 3 if spectrum is not None and spectrum.time_first else 2
    others = tuple(k for k in range(4) if k != axis)
    count, total, square = 0, torch.zeros(()), torch.zeros(())
    for start in range(0, len(clips.files), 32):
        part = range(start, min(start + 32, len(clips.files)))
        for made in in_threads(lambda c: features(clips.files[c], clips.hearing).double(), part):
            count += made.numel() // made.shape[axis]
            total = total + made.sum(others, keepdim=True)[0]
            square = square + made.square().sum(others, keepdim=True)[0]
    mean = total / count
    deviation = (square / count - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(deviation > 1e-6, deviation, 1.0).float()


def scaled(clips: Clips, scale: tuple[Tensor, Tensor]) -> Clips:
    """The same clips with their bins scaled."""
    return dataclasses.replace(clips, scale=scale)


def in_threads(function: Callable[[T], U], values: Sequence[T] | dict[T, object] | range) -> list[U]:
    """The results in order; decoding and resampling leave Python's lock, so that threads help."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(function, values))
