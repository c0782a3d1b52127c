"""The front end of the PANNs: a waveform at 32 kHz to 64 log-mel bins, by fixed convolutions [kong2020panns]."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.audio.mel import slaney_filters

RATE, WINDOW, HOP, BINS, LOW, HIGH = 32_000, 1024, 320, 64, 50.0, 14_000.0
_FAINTEST = 1e-10


class _Fixed(nn.Module):
    """A weight that is no parameter, under the name that the checkpoints have for it."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)


class _Stft(nn.Module):
    """Real and imaginary part of the windowed Fourier transform, each as a convolution over the samples."""

    def __init__(self) -> None:
        super().__init__()
        window = torch.hann_window(WINDOW, dtype=torch.float64)
        # The product is reduced to one turn before it becomes an angle: exact for large indices.
        turns = torch.outer(torch.arange(WINDOW // 2 + 1), torch.arange(WINDOW)) % WINDOW
        angle = turns.double() * (2.0 * math.pi / WINDOW)
        self.conv_real = _Fixed((torch.cos(angle) * window)[:, None].float())
        self.conv_imag = _Fixed((-torch.sin(angle) * window)[:, None].float())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, samples) to two parts (b, WINDOW / 2 + 1, 1 + samples // HOP)."""
        x = F.pad(x[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")
        return F.conv1d(x, self.conv_real.weight, stride=HOP), F.conv1d(x, self.conv_imag.weight, stride=HOP)


class PowerSpectrogram(nn.Module):
    """Squared magnitudes of the windowed Fourier transform."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = _Stft()

    def forward(self, x: Tensor) -> Tensor:
        """(b, samples) to (b, 1, frames, WINDOW / 2 + 1)."""
        real, imag = self.stft(x)
        # A constant of fixed size beside the bins says that they are the front end's: no pruning takes any of them.
        power: Tensor = real * real + imag * imag + real.new_zeros(WINDOW // 2 + 1, 1)
        return power.transpose(1, 2).unsqueeze(1)


class LogMel(nn.Module):
    """Mel bins in decibels: 10 log10 max(power @ melW, 1e-10)."""

    melW: Tensor  # the name in the checkpoints

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("melW", slaney_filters(RATE, WINDOW, BINS, LOW, HIGH))

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, frames, WINDOW / 2 + 1) to (b, 1, frames, BINS)."""
        return 10.0 * torch.log10(torch.clamp(x @ self.melW, min=_FAINTEST))


def normalised(x: Tensor, norm: nn.Module) -> Tensor:
    """Batch norm over the mel bins, which lie in the last axis of (b, 1, frames, BINS)."""
    y: Tensor = norm(x.transpose(1, 3))
    return y.transpose(1, 3)
