"""CP-Mobile, the winner of DCASE 2023 task 1: inverted residuals with global response norm [schmid2023cpmobile]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from secateurs.zoo.entry import ZooEntry

# Blocks by stage: (width, strides of its blocks).
STAGES = ((32, ((1, 1), (2, 2), (1, 1))), (72, ((2, 1), (1, 1))), (168, ((1, 1),)))


def _conv(
    read: int, made: int, kernel: int, stride: int | tuple[int, int] = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(read, made, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(made), nn.ReLU())


class ResponseNorm(nn.Module):
    """gamma x n + beta + x, with n the l2 norm of each map over its mean over the channels [woo2023convnextv2]."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to the same shape."""
        size = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        share = size / (size.mean(dim=1, keepdim=True) + 1e-6)
        y: Tensor = self.gamma * (x * share) + self.beta + x
        return y


class Block(nn.Module):
    """1x1 to three times the width, depthwise 3x3, 1x1 down; added to the input where the widths agree."""

    def __init__(self, read: int, made: int, stride: tuple[int, int]) -> None:
        super().__init__()
        hidden = (3 * read + 4) // 8 * 8  # the nearest multiple of eight
        down = _conv(hidden, made, 1)[:2]
        self.block = nn.Sequential(_conv(read, hidden, 1), _conv(hidden, hidden, 3, stride, hidden), down)
        self.residual = read == made
        plain = stride == (1, 1)
        self.shortcut: nn.Module = nn.Identity() if plain else nn.AvgPool2d(3, stride, padding=1)
        self.after_block_norm = ResponseNorm()

    def forward(self, x: Tensor) -> Tensor:
        """(b, read, h, w) to (b, made, h / stride, w / stride)."""
        y = self.block(x)
        y = y + self.shortcut(x) if self.residual else y
        return F.relu(self.after_block_norm(y))


class CPMobile(nn.Module):
    """The keys are those of the authors' checkpoint: `in_c.0.0`, `stages.s1.b1.block.0.0`, ..., `feed_forward.1`."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        planes, number = 32, 0
        self.in_c = nn.Sequential(_conv(1, planes // 4, 3, 2), _conv(planes // 4, planes, 3, 2))
        self.stages = nn.Sequential()
        for index, (width, strides) in enumerate(STAGES, 1):
            stage = nn.Sequential()
            for stride in strides:
                number += 1
                stage.add_module(f"b{number}", Block(planes, width, stride))
                planes = width
            self.stages.add_module(f"s{index}", stage)
        self.feed_forward = nn.Sequential(
            nn.Conv2d(planes, num_classes, 1, bias=False),
            nn.BatchNorm2d(num_classes),
            nn.AdaptiveAvgPool2d(1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """256 log-mel bins of 1 s, (b, 1, 256, 64), to logits (b, num_classes)."""
        return torch.flatten(self.feed_forward(self.stages(self.in_c(x))), 1)


def cp_mobile(num_classes: int = 10) -> CPMobile:
    """CP-Mobile of 126,952 parameters.

    Example:
        >>> sum(p.numel() for p in cp_mobile().parameters())
        126952
    """
    return CPMobile(num_classes)


ENTRIES = (
    ZooEntry(
        name="cp_mobile",
        build=cp_mobile,
        input_shape=(1, 256, 64),
        num_classes=10,
        normalisation=None,
        description="CP-Mobile, winner of DCASE 2023 task 1, from 256 log-mel bins of 1 s at 32 kHz",
    ),
)
