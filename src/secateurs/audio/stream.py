"""Inputs and log-mel frames of sound of any length, part by part, equal to those of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from secateurs.audio.front import FrontEnd
from secateurs.audio.log_mel import LogMel, emphasised
from secateurs.audio.reader import PLAIN, Reading, blocks, header, lengthened
from secateurs.errors import InputError


def cut(waveform: Tensor, front: FrontEnd) -> Tensor:
    """The stretches of a clip that are one input each, shape (n, samples); what is left at the end is dropped.

    Raises:
        InputError: The clip is of another shape, or shorter than one.

    Example:
        >>> cut(torch.arange(7.0), FrontEnd(rate=1, samples=3, step=2)).tolist()
        [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [4.0, 5.0, 6.0]]
    """
    if waveform.dim() != 1 or len(waveform) < front.samples:
        raise InputError(
            f"waveform: shape {tuple(waveform.shape)}; give one channel of at least {front.samples:,} samples at "
            f"{front.rate:,} Hz"
        )
    return waveform.unfold(0, front.samples, front.step)


def inputs_of(
    path: str | Path, front: FrontEnd, reading: Reading = PLAIN, device: str | torch.device = "cpu"
) -> Iterator[Tensor]:
    """The inputs of a network from a file of any length, some at a time; memory does not grow with the file.

    Args:
        path: A file of sound.
        front: The network's front end, such as `secateurs.audio.FRONTS["yamnet"]`.
        reading: What may be done to the clip.
        device: Where the front end runs, and the inputs lie.

    Yields:
        Inputs of shape (n, *front.shape), in the order of time.

    Raises:
        InputError: As `read_clip`.
    """
    module = front.module().to(device)
    rest = torch.zeros(0)
    found = False
    for block in blocks(path, front.rate, reading):
        rest = torch.cat([rest, block])
        count = front.windows(len(rest))
        if count:
            found = True
            yield module(cut(rest, front).to(device))
            rest = rest[count * front.step :]
    if not found:
        header(
            path, front.rate, reading, front.samples
        )  # which refuses short clips where they are not lengthened
        yield module(lengthened(rest, front.samples, reading)[None].to(device))


def frames_of(module: LogMel, parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """The log-mel frames of a waveform that comes part by part; put together they are those of the whole.

    Args:
        module: The front end; one that divides by the peak of the whole cannot be streamed.
        parts: Consecutive parts of one waveform, shape (n,), each of any length.

    Yields:
        Frames, shape (bins, t), in the order of time; a front end that leaves out the last frame does so here too.

    Raises:
        InputError: The waveform is too short for one frame, or the front end needs the whole.

    Example:
        >>> from secateurs.audio.presets import FRONTS
        >>> sound = torch.sin(torch.arange(16_000.0))
        >>> front = FRONTS["yamnet"].module()
        >>> parts = torch.cat(list(frames_of(front, sound.split(999))), dim=1)
        >>> torch.allclose(parts, front(sound[None])[0, 0].T, atol=1e-4)
        True
    """
    settings = module.settings
    if settings.peak:
        raise InputError("front end: it divides by the largest magnitude of the whole; give the whole.")
    rest, held, found = torch.zeros(0), torch.zeros(settings.bins, 0), False
    for part in _mirrored(_emphasised(parts, settings.emphasis), settings.margin):
        rest = torch.cat([rest.to(part), part])
        count = 1 + (len(rest) - settings.window) // settings.hop
        if count < 1:
            continue
        made = module.frames(rest[None])[0]
        made = torch.cat([held.to(made), made], dim=1)
        ready = made.shape[1] - settings.dropped
        held = made[:, max(ready, 0) :]
        rest = rest[count * settings.hop :]
        if ready > 0:
            found = True
            yield made[:, :ready]
    if not found:
        raise InputError(f"waveform: it is shorter than one frame of {settings.window:,} samples; give more.")


def _emphasised(parts: Iterable[Tensor], share: float) -> Iterator[Tensor]:
    last: Tensor | None = None
    for part in parts:
        joined = part if last is None or share == 0 else torch.cat([last, part])
        last = part[-1:] if len(part) else last
        if len(joined) > (share != 0):
            yield emphasised(joined, share)


def _mirrored(parts: Iterable[Tensor], margin: int) -> Iterator[Tensor]:
    """The parts with `margin` samples mirrored before the first and after the last."""
    begun = margin == 0
    held, last = torch.zeros(0), torch.zeros(0)
    for part in parts:
        held = torch.cat([held.to(part), part])
        if not begun and len(held) <= margin:
            continue
        if not begun:
            yield held[1 : margin + 1].flip(0)
            begun = True
        yield held
        last = torch.cat([last.to(held), held])[-(margin + 1) :]
        held = held[:0]
    if not begun:
        raise InputError(f"waveform: {len(held):,} samples are too few; give more than {margin:,}.")
    if margin:
        yield last[:-1].flip(0)
