"""Log-mel bins of a waveform, as a module: windowed Fourier transform, mel filters, logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.audio.mel import htk_filters, slaney_filters
from secateurs.errors import InputError


@dataclass(frozen=True)
class Spectrum:
    r"""How log-mel bins are made of samples x at a rate.

    .. math:: m_{bt} = \frac{1}{f} \left(s + \log\left(o + \sum_k W_{kb}
              \left|\sum_{j < n} w_j x_{j + th} e^{-2 \pi i j k / N}\right|^p\right)\right)

    Attributes:
        rate: Samples a second.
        window: n, samples of a window.
        hop: h, samples between the starts of two windows, at most n.
        transform: N, points of the Fourier transform, at least n.
        bins: Number of mel filters W.
        low: Lower edge of the first filter in hertz.
        high: Upper edge of the last filter in hertz.
        scale: "htk": triangles straight in mels, of height 1; "slaney": straight in hertz, of area 1.
        shape: The window w, "hann" or "hamming".
        periodic: Whether w is one period of its formula (w_n would equal w_0) or symmetric.
        power: p, 1 for magnitudes or 2 for powers.
        offset: o, added before the logarithm.
        shift: s, added after it.
        divisor: f, by which the sum is divided.
        emphasis: a of x[j + 1] - a x[j], which takes the place of x; 0 for x itself.
        centred: Whether the middle of the first window lies on the first sample, the ends being mirrored.
        dropped: So many frames at the end are left out.
        time_first: Whether frames come before bins.
        peak: Whether an input is divided by its largest magnitude where that is above 1.

    Raises:
        InputError: A hop that is longer than the window, or a window longer than the transform.
    """

    rate: int
    window: int
    hop: int
    transform: int
    bins: int
    low: float
    high: float
    scale: Literal["htk", "slaney"] = "htk"
    shape: Literal["hann", "hamming"] = "hann"
    periodic: bool = True
    power: int = 1
    offset: float = 0.0
    shift: float = 0.0
    divisor: float = 1.0
    emphasis: float = 0.0
    centred: bool = False
    dropped: int = 0
    time_first: bool = False
    peak: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.hop <= self.window <= self.transform:
            raise InputError(
                f"spectrum: windows of {self.window:,} samples each {self.hop:,}, transformed by {self.transform:,} "
                "points; a hop is at most a window, and a window at most the transform."
            )

    @property
    def margin(self) -> int:
        """Samples that are mirrored at either end."""
        return self.transform // 2 - (self.transform - self.window) // 2 if self.centred else 0

    def frames(self, samples: int) -> int:
        """How many frames so many samples have; 0 where they are too few to be mirrored or transformed."""
        left = samples - (1 if self.emphasis else 0)
        if left < max(1, self.margin + 1) or left + 2 * self.margin < self.window:
            return 0
        return max(0, 1 + (left + 2 * self.margin - self.window) // self.hop - self.dropped)


class LogMel(nn.Module):
    """Log-mel bins of waveforms, by the formula of `Spectrum`; no parameters, and no entry in a state dict.

    Example:
        >>> LogMel(Spectrum(8000, 200, 80, 256, 20, 0.0, 4000.0, offset=1e-3))(torch.zeros(2, 8000)).shape
        torch.Size([2, 1, 20, 98])
    """

    taper: Tensor
    filters: Tensor

    def __init__(self, settings: Spectrum) -> None:
        super().__init__()
        self.settings = s = settings
        make = torch.hann_window if s.shape == "hann" else torch.hamming_window
        taper = make(s.window, periodic=s.periodic, dtype=torch.float64).float()
        bank = htk_filters if s.scale == "htk" else slaney_filters
        self.register_buffer("taper", taper, persistent=False)
        self.register_buffer("filters", bank(s.rate, s.transform, s.bins, s.low, s.high), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Waveforms in [-1, 1] to log-mel bins.

        Args:
            waveforms: Shape (b, samples), on the module's device.

        Returns:
            Shape (b, 1, bins, frames), or (b, 1, frames, bins) where time comes first.

        Raises:
            InputError: Another shape, or too short for one frame.
        """
        s = self.settings
        if waveforms.dim() != 2 or s.frames(waveforms.shape[1]) < 1:
            raise InputError(
                f"waveforms: shape {tuple(waveforms.shape)}; give (batch, samples) of one channel, at least "
                f"{max(s.window, s.margin + 2):,} samples at {s.rate:,} Hz"
            )
        x = emphasised(waveforms, s.emphasis)
        if s.margin:
            x = F.pad(x[:, None], (s.margin, s.margin), mode="reflect")[:, 0]
        made = self.frames(x)
        made = made[..., : made.shape[-1] - s.dropped]
        if s.peak:
            made = made / made.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1.0)
        return self.laid(made)

    def frames(self, x: Tensor) -> Tensor:
        """(b, samples), emphasised and mirrored already, to (b, bins, frames)."""
        s = self.settings
        spectrum = torch.fft.rfft(x.unfold(1, s.window, s.hop) * self.taper, s.transform)
        size = spectrum.real.square() + spectrum.imag.square() if s.power == 2 else spectrum.abs()
        made = torch.log(size @ self.filters + s.offset).transpose(1, 2)
        return (made + s.shift) / s.divisor if (s.shift, s.divisor) != (0.0, 1.0) else made

    def laid(self, made: Tensor) -> Tensor:
        """(b, bins, frames) as the network takes it."""
        made = made.transpose(1, 2) if self.settings.time_first else made
        return made.unsqueeze(1).contiguous()


def emphasised(x: Tensor, share: float) -> Tensor:
    """x[j + 1] - share x[j] along the last axis, one sample shorter; x itself for a share of 0.

    Example:
        >>> emphasised(torch.tensor([1.0, 2.0, 4.0]), 0.5).tolist()
        [1.5, 3.0]
    """
    return x if share == 0 else x[..., 1:] - share * x[..., :-1]
