"""From lists of clips to a data set: what cannot be used is refused or left out, and what is left is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from secateurs.audio.reader import Header, header, read_clip
from secateurs.contracts import IntArray
from secateurs.data.clips import Clips, features, in_threads, scaled, statistics
from secateurs.data.hearing import Hearing
from secateurs.data.source import DataSource
from secateurs.errors import InputError

_NAMED = 3  # clips that a remark names


@dataclass(frozen=True, eq=False)
class Listed:
    """Clips of one part of a data set, with their labels, and what recording each was cut from, where that is known."""

    files: Sequence[Path]
    labels: Tensor
    origins: Sequence[Any] | None = None


def sound_source(
    name: str,
    train: Listed,
    test: Listed,
    classes: tuple[str, ...],
    hearing: Hearing,
    remarks: Sequence[str] = (),
) -> DataSource:
    """A data set of clips; stretches of one clip, and clips of one recording, are one group.

    Args:
        name: What it is called.
        train: Clips for training.
        test: Clips for testing.
        classes: Names of the classes.
        hearing: How clips become samples.
        remarks: What there is to say already.

    Raises:
        InputError: A clip that cannot be used, unless such are left out; a part without any.
    """
    found = [_usable(part, hearing) for part in (train, test)]
    for part, kept, _, problems in ((train, *found[0]), (test, *found[1])):
        if not len(kept):
            raise InputError(
                f"The {'training' if part is train else 'test'} part of '{name}' has no clip that can be used"
                f"{': ' + problems[0] if problems else '.'}"
            )
    parts = [
        _clips(part, kept, heads, hearing)
        for part, (kept, heads, _) in zip((train, test), found, strict=True)
    ]
    if hearing.normalise:
        scale = statistics(parts[0])
        parts = [scaled(part, scale) for part in parts]
    heads = [head for _, part, _ in found for head in part]
    problems = [problem for *_, part in found for problem in part]
    told = (*remarks, *_about_bad(problems, len(heads)), *_about_rates(heads, hearing.front.rate))
    return DataSource(name, parts[0], parts[1], classes, _groups(train, found[0][0], parts[0]), told)


def _usable(part: Listed, hearing: Hearing) -> tuple[IntArray, list[Header], list[str]]:
    """Numbers of the clips that can be used, their headers, and what is wrong with the others."""

    def look(file: Path) -> Header | InputError:
        try:
            head = header(file, hearing.front.rate, hearing.reading, hearing.front.samples)
            if hearing.bad == "skip" and hearing.cache is not None:
                features(file, hearing)
            elif hearing.bad == "skip":
                read_clip(file, hearing.front.rate, hearing.reading, hearing.front.samples)
            return head
        except InputError as problem:
            if hearing.bad == "refuse":
                raise
            return problem

    looked = in_threads(look, list(part.files))
    kept = [k for k, found in enumerate(looked) if isinstance(found, Header)]
    heads = [found for found in looked if isinstance(found, Header)]
    return np.array(kept, dtype=np.int64), heads, [str(f) for f in looked if isinstance(f, InputError)]


def _clips(part: Listed, kept: IntArray, heads: Sequence[Header], hearing: Hearing) -> Clips:
    front = hearing.front
    counts = [
        1 if hearing.per == "clip" else front.windows(max(head.at(front.rate), front.samples))
        for head in heads
    ]
    places = [(clip, window) for clip, count in enumerate(counts) for window in range(count)]
    files = tuple(part.files[k] for k in kept)
    return Clips(
        files, part.labels[torch.from_numpy(kept)], np.array(places, dtype=np.int64).reshape(-1, 2), hearing
    )


def _groups(part: Listed, kept: IntArray, clips: Clips) -> IntArray:
    """The recording of each sample, as a number."""
    origins = [str(k if part.origins is None else part.origins[k]) for k in kept]
    _, numbers = np.unique(np.array(origins), return_inverse=True)
    groups: IntArray = numbers.astype(np.int64)[clips.places[:, 0]]
    return groups


def _about_bad(problems: Sequence[str], good: int) -> list[str]:
    if not problems:
        return []
    more = f" ({len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
    return [
        f"{len(problems)} of {len(problems) + good} clips are left out: {' '.join(problems[:_NAMED])}{more}"
    ]


def _about_rates(heads: Sequence[Header], rate: int) -> list[str]:
    low = [head.rate for head in heads if head.rate < rate]
    if not low:
        return []
    return [
        f"{len(low)} of {len(heads)} clips have fewer than the {rate:,} samples a second that the network hears: "
        f"brought to that rate, they hold nothing above {min(low) // 2:,} Hz."
    ]
