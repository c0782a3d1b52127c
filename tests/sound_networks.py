"""Small networks for sound as people write them: on the waveform, along time, recurrent, separable, gated."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WAVE, MEL, IMAGE = (1, 1, 2048), (1, 16, 24), (1, 1, 16, 20)


class RawWave(nn.Module):
    """Strided convolutions along the waveform, as SoundNet and M5."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for read, made, kernel, pooled in ((1, 8, 32, 4), (8, 10, 16, 4), (10, 12, 8, 1)):
            layers += [nn.Conv1d(read, made, kernel, 2, kernel // 2), nn.BatchNorm1d(made), nn.ReLU()]
            layers += [nn.MaxPool1d(pooled)] if pooled > 1 else []
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean(2))


class Crnn(nn.Module):
    """Two convolutions, frequency folded into features, a recurrent layer, the mean over time."""

    def __init__(self, kind: type[nn.RNNBase], both: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.rnn = kind(6 * 4, 10, batch_first=True, bidirectional=both)
        self.head = nn.Linear(20 if both else 10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), (2, 2))
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), (2, 1))
        found, _ = self.rnn(x.permute(0, 3, 1, 2).flatten(2))
        return self.head(found.mean(1))


class Tdnn(nn.Module):
    """X-vectors: dilated convolutions along time, mean and deviation over it, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.ModuleList()
        for read, made, kernel, dilation in ((16, 10, 5, 1), (10, 8, 3, 2), (8, 12, 3, 3), (12, 9, 1, 1)):
            self.frames.append(
                nn.Sequential(
                    nn.Conv1d(read, made, kernel, dilation=dilation), nn.ReLU(), nn.BatchNorm1d(made)
                )
            )
        self.embed, self.head = nn.Linear(18, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        for frame in self.frames:
            x = frame(x)
        pooled = torch.cat([x.mean(2), x.var(2, unbiased=False).clamp(min=1e-6).sqrt()], dim=1)
        return self.head(F.relu(self.embed(pooled)))


class SeparableBlock(nn.Module):
    """Of a Conv-TasNet with batch norm: 1x1 up, depthwise dilated, 1x1 to the shortcut and 1x1 to the skip path."""

    def __init__(self, width: int, inner: int, skip: int, dilation: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.Conv1d(width, inner, 1), nn.PReLU(), nn.BatchNorm1d(inner))
        self.deep = nn.Sequential(
            nn.Conv1d(inner, inner, 3, padding=dilation, dilation=dilation, groups=inner),
            nn.PReLU(),
            nn.BatchNorm1d(inner),
        )
        self.residual, self.skip = nn.Conv1d(inner, width, 1), nn.Conv1d(inner, skip, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.deep(self.up(x))
        return x + self.residual(y), self.skip(y)


class TasNet(nn.Module):
    """Encoder, separable blocks whose skips are summed, a mask on the encoded waveform, a transposed decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, 12, 16, 8, bias=False)
        self.squeeze = nn.Conv1d(12, 8, 1)
        self.blocks = nn.ModuleList(SeparableBlock(8, 12, 6, 2**k) for k in range(3))
        self.mask = nn.Conv1d(6, 12, 1)
        self.decoder = nn.ConvTranspose1d(12, 1, 16, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        code = F.relu(self.encoder(x))
        y, total = self.squeeze(code), torch.zeros(())
        for block in self.blocks:
            y, skip = block(y)
            total = total + skip
        return self.decoder(code * torch.sigmoid(self.mask(F.relu(total))))


class SubSpectralNorm(nn.Module):
    """Batch norm of each channel in each of some bands of frequency."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.bands, self.bn = bands, nn.BatchNorm2d(channels * bands)

    def forward(self, x: Tensor) -> Tensor:
        b, c, f, t = x.shape
        return self.bn(x.reshape(b, c * self.bands, f // self.bands, t)).reshape(b, c, f, t)


class BroadcastBlock(nn.Module):
    """Of BC-ResNet: along frequency with sub-spectral norm, its mean along time, broadcast and added."""

    def __init__(self, read: int, made: int) -> None:
        super().__init__()
        self.change = (
            None if read == made else nn.Sequential(nn.Conv2d(read, made, 1), nn.BatchNorm2d(made), nn.ReLU())
        )
        self.frequency = nn.Conv2d(made, made, (3, 1), padding=(1, 0), groups=made, bias=False)
        self.norm = SubSpectralNorm(made, 4)
        self.time = nn.Sequential(
            nn.Conv2d(made, made, (1, 3), padding=(0, 2), dilation=(1, 2), groups=made, bias=False),
            nn.BatchNorm2d(made),
            nn.SiLU(),
            nn.Conv2d(made, made, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = x if self.change is None else self.change(x)
        x = self.norm(self.frequency(x))
        y = self.time(x.mean(2, keepdim=True))
        return F.relu((shortcut + x + y) if self.change is None else x + y)


class BcResNet(nn.Module):
    """A 5x5 convolution, three broadcast blocks of two widths, a 1x1 convolution, the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 10, 5, (2, 1), 2), nn.BatchNorm2d(10), nn.ReLU())
        self.blocks = nn.Sequential(BroadcastBlock(10, 8), BroadcastBlock(8, 8), BroadcastBlock(8, 12))
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x))).mean((2, 3))


class InvertedResidual(nn.Module):
    """Of MobileNetV3 as EfficientAT has it: expand, depthwise, squeeze and excite, project, shortcut."""

    def __init__(self, read: int, inner: int, made: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(
            nn.Conv2d(read, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.Hardswish()
        )
        self.deep = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.Hardswish(),
        )
        self.fc1, self.fc2 = nn.Conv2d(inner, 6, 1), nn.Conv2d(6, inner, 1)
        self.project = nn.Sequential(nn.Conv2d(inner, made, 1, bias=False), nn.BatchNorm2d(made))
        self.shortcut = read == made and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.deep(self.expand(x))
        y = y * F.hardsigmoid(self.fc2(F.relu(self.fc1(y.mean((2, 3), keepdim=True)))))
        y = self.project(y)
        return x + y if self.shortcut else y


class MobileNetV3(nn.Module):
    """A stem, three inverted residuals, a last 1x1 convolution, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.blocks = nn.Sequential(
            InvertedResidual(8, 12, 8, 1), InvertedResidual(8, 16, 10, 2), InvertedResidual(10, 16, 10, 1)
        )
        self.last = nn.Sequential(nn.Conv2d(10, 14, 1, bias=False), nn.BatchNorm2d(14), nn.Hardswish())
        self.classifier = nn.Sequential(nn.Linear(14, 12), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(12, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.last(self.blocks(self.stem(x))).mean((2, 3)))


# Network and shape of one input.
NETWORKS = {
    "raw wave": (RawWave, WAVE),
    "conv and GRU": (lambda: Crnn(nn.GRU, False), IMAGE),
    "conv and LSTM": (lambda: Crnn(nn.LSTM, False), IMAGE),
    "conv and GRU both ways": (lambda: Crnn(nn.GRU, True), IMAGE),
    "conv and LSTM both ways": (lambda: Crnn(nn.LSTM, True), IMAGE),
    "TDNN": (Tdnn, MEL),
    "Conv-TasNet": (TasNet, WAVE),
    "BC-ResNet": (BcResNet, IMAGE),
    "MobileNetV3": (MobileNetV3, IMAGE),
}
