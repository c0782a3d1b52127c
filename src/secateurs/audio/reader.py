"""Clips of sound from files: wav, flac, ogg or mp3, mixed to one channel and brought to one sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from secateurs.errors import InputError

ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"})
"""Files that are taken for sound in a folder."""

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """What is done with clips that are not as the network wants them.

    Attributes:
        rate: Clips of another sample rate: "resample" or "refuse".
        stereo: Clips of several channels: "mix" takes their mean, "refuse".
        silence: Clips of which all samples are the same: "keep" or "refuse".
        short: Clips shorter than one input: "refuse", "pad" puts zeros after them, "repeat" plays them again.

    Raises:
        InputError: Another word.
    """

    rate: Literal["resample", "refuse"] = "resample"
    stereo: Literal["mix", "refuse"] = "mix"
    silence: Literal["keep", "refuse"] = "keep"
    short: Literal["refuse", "pad", "repeat"] = "refuse"

    def __post_init__(self) -> None:
        words = {"rate": "resample", "stereo": "mix", "silence": "keep", "short": "pad or repeat"}
        for name, word in words.items():
            value = getattr(self, name)
            if value not in {"refuse", *word.split(" or ")}:
                raise InputError(f"{name}={value}: write {name}={word}, or {name}=refuse.")


PLAIN = Reading()


@dataclass(frozen=True)
class Header:
    """What a file of sound says of itself: samples of each channel, samples a second, channels."""

    samples: int
    rate: int
    channels: int

    def at(self, rate: int) -> int:
        """Samples at another rate."""
        return self.samples * rate // self.rate


def header(path: str | Path, rate: int | None = None, reading: Reading = PLAIN, least: int = 1) -> Header:
    """Look at a file of sound without decoding it, and refuse what its first bytes already say.

    Args:
        path: The file.
        rate: Samples a second that are wanted, where it matters.
        reading: What may be done to the clip.
        least: Samples, at that rate, that it has to have.

    Raises:
        InputError: No file, no sound, an empty clip, or one that `reading` refuses.
    """
    with _opened(path) as file:
        found = Header(file.frames, file.samplerate, file.channels)
    if found.samples < 1:
        raise InputError(f"The clip '{path}' is empty: it holds no sample.")
    if rate is not None and found.rate != rate and reading.rate == "refuse":
        raise InputError(
            f"The clip '{path}' has {found.rate:,} samples a second and {rate:,} are wanted; resample it "
            "(rate=resample)."
        )
    if found.channels > 1 and reading.stereo == "refuse":
        raise InputError(
            f"The clip '{path}' has {found.channels} channels and one is wanted; mix them (stereo=mix)."
        )
    length = found.at(rate or found.rate)
    if length < least and reading.short == "refuse":
        raise InputError(
            f"The clip '{path}' is shorter than one input: {length:,} of {least:,} samples at "
            f"{rate or found.rate:,} Hz; leave it out, or lengthen it (short=pad or short=repeat)."
        )
    return found


def read_clip(path: str | Path, rate: int, reading: Reading = PLAIN, least: int = 1) -> Tensor:
    """A clip as one channel at one sample rate.

    Args:
        path: A file of wav, flac, ogg or mp3, or of any other format that libsndfile decodes.
        rate: Samples a second that are wanted; the clip is resampled by soxr where it has others.
        reading: What may be done to the clip.
        least: Samples, at that rate, that it has to have; how it gets them is said by `reading`.

    Returns:
        Samples in [-1, 1], float32, shape (max(n, least),) for n = floor(samples x rate / own rate).

    Raises:
        InputError: No file, no sound, an empty, truncated or shorter clip, samples that are not finite, or what
            `reading` refuses; names the file.

    Example:
        >>> read_clip("nowhere.wav", 16_000)
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The clip 'nowhere.wav' cannot be found.
    """
    header(path, rate, reading, least)
    clip = torch.cat(list(blocks(path, rate, reading)))
    if reading.silence == "refuse" and bool((clip == clip[0]).all()):
        raise InputError(
            f"The clip '{path}' is silent: all its samples are {float(clip[0]):g}; leave it out."
        )
    return lengthened(clip, least, reading)


def blocks(path: str | Path, rate: int, reading: Reading = PLAIN, seconds: float = 10.0) -> Iterator[Tensor]:
    """A clip of any length, part by part; all parts together are what `read_clip` returns.

    Args:
        path: The file.
        rate: Samples a second that are wanted.
        reading: What may be done to the clip.
        seconds: About so much sound is held at a time.

    Yields:
        Samples, float32, shape (n,).

    Raises:
        InputError: As `read_clip`, but for silence, which only the whole clip can be.
    """
    found = header(path, rate, reading)
    left = found.at(rate)
    stream = None if found.rate == rate else _soxr().ResampleStream(found.rate, rate, 1, dtype="float32")
    size = max(1, round(seconds * found.rate))
    for part, last in _decoded(path, found.samples, size):
        made = part if stream is None else stream.resample_chunk(part, last=last)
        if last and len(made) < left:  # the filter ends a sample early
            made = np.pad(made, (0, left - len(made)))
        made = made[:left]
        left -= len(made)
        if len(made):
            yield torch.from_numpy(np.ascontiguousarray(made))


def _decoded(path: str | Path, total: int, size: int) -> Iterator[tuple[Waveform, bool]]:
    """The mean of all channels, `size` samples at a time, and whether that is the end."""
    done = 0
    with _opened(path) as file:
        while done < total:
            try:
                part = file.read(min(size, total - done), dtype="float32", always_2d=True)
            except RuntimeError as error:
                raise InputError(f"The clip '{path}' is damaged after {done:,} samples: {error}") from error
            if not len(part):
                raise InputError(f"The clip '{path}' is cut off: it holds {done:,} of {total:,} samples.")
            bad = ~np.isfinite(part).all(axis=1)
            if bad.any():
                at = done + int(bad.argmax())
                raise InputError(
                    f"The clip '{path}' holds NaN or infinite samples, the first at sample {at:,}."
                )
            done += len(part)
            yield part.mean(axis=1) if part.shape[1] > 1 else part[:, 0], done >= total


def lengthened(clip: Tensor, least: int, reading: Reading) -> Tensor:
    """A clip with zeros after it, or played again, until it has `least` samples.

    Example:
        >>> lengthened(torch.tensor([1.0, 2.0]), 3, Reading(short="repeat")).tolist()
        [1.0, 2.0, 1.0]
    """
    if len(clip) >= least:
        return clip
    if reading.short == "repeat":
        return clip.repeat(-(-least // len(clip)))[:least]
    return F.pad(clip, (0, least - len(clip)))


def _opened(path: str | Path) -> Any:
    soundfile = _soundfile()
    if not Path(path).is_file():
        found = "is not a file" if Path(path).exists() else "cannot be found"
        raise InputError(f"The clip '{path}' {found}.")
    try:
        return soundfile.SoundFile(path)
    except (RuntimeError, OSError, TypeError) as error:
        why = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise InputError(
            f"The clip '{path}' is no sound that can be read ({why}); give wav, flac, ogg or mp3."
        ) from error


def _soundfile() -> Any:
    try:
        import soundfile
    except (ModuleNotFoundError, OSError) as error:
        raise InputError("Sound files need the package soundfile: pip install soundfile soxr.") from error
    return soundfile


def _soxr() -> Any:
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise InputError("Another sample rate needs the package soxr: pip install soundfile soxr.") from error
    return soxr
