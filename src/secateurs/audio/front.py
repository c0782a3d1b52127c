"""What a network hears: a stretch of sound at its sample rate, as a waveform or as log-mel bins."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from torch import nn

from secateurs.audio.log_mel import LogMel, Spectrum
from secateurs.errors import InputError


@dataclass(frozen=True)
class FrontEnd:
    """How one input of a network is made of sound.

    Attributes:
        rate: Samples a second.
        samples: Samples of one input.
        step: Samples between the starts of two inputs that are cut from one clip, at most `samples`.
        spectrum: The log-mel bins that the network takes; None where it takes the waveform.
        normalise: Whether each bin is to be brought to mean 0 and deviation 1 of the training part.

    Raises:
        InputError: Numbers that make no input.

    Example:
        >>> FrontEnd(rate=16_000, samples=32_000, step=16_000).shape
        (32000,)
    """

    rate: int
    samples: int
    step: int
    spectrum: Spectrum | None = None
    normalise: bool = False

    def __post_init__(self) -> None:
        if min(self.rate, self.samples) < 1 or not 1 <= self.step <= self.samples:
            raise InputError(
                f"front end: {self.samples:,} samples each {self.step:,} at {self.rate:,} Hz; give whole numbers from "
                "1, and a step of at most one input."
            )
        if self.spectrum is not None and self.spectrum.frames(self.samples) < 1:
            raise InputError(
                f"front end: {self.samples:,} samples are shorter than one window of {self.spectrum.window:,}."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input without the batch axis."""
        if self.spectrum is None:
            return (self.samples,)
        size = (self.spectrum.bins, self.spectrum.frames(self.samples))
        return (1, *(size[::-1] if self.spectrum.time_first else size))

    def module(self) -> nn.Module:
        """The module from waveforms (b, samples) to inputs (b, *shape), which runs on any device."""
        return nn.Identity() if self.spectrum is None else LogMel(self.spectrum)

    def windows(self, samples: int) -> int:
        """How many inputs a clip of so many samples has; what is left at its end is dropped."""
        return 0 if samples < self.samples else 1 + (samples - self.samples) // self.step

    def lasting(self, seconds: float) -> FrontEnd:
        """The same for inputs of another length, one after the other.

        Raises:
            InputError: They would be shorter than a window.
        """
        samples = round(seconds * self.rate)
        return dataclasses.replace(self, samples=samples, step=max(samples, 1))

    @property
    def key(self) -> str:
        """All settings as text, the same for the same features."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
