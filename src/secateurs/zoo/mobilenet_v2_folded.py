"""MobileNetV2 for 224x224 images as TensorFlow Lite holds it: batch norms folded, "same" padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from secateurs.data.normalisation import Normalisation
from secateurs.zoo.entry import ZooEntry

# (expansion t, width c, repeats n, stride s) [sandler2018mobilenetv2, table 2]
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
CENTRED = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class MobileNetV2Folded(nn.Module):
    """The keys are those of Keras (`Conv1`, `block_1_expand`, `block_1_depthwise`, ..., `predictions`)."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.Conv1 = nn.Conv2d(3, 32, 3, 2)
        self.blocks: list[tuple[str, bool]] = []
        planes, number = 32, 0
        for expansion, width, repeats, stride in STAGES:
            for k in range(repeats):
                name = f"block_{number}" if number else "expanded_conv"
                step, hidden = stride if k == 0 else 1, planes * expansion
                if expansion > 1:
                    self.add_module(f"{name}_expand", nn.Conv2d(planes, hidden, 1))
                side = 1 if step == 1 else 0
                depthwise = nn.Conv2d(hidden, hidden, 3, step, side, groups=hidden)
                self.add_module(f"{name}_depthwise", depthwise)
                self.add_module(f"{name}_project", nn.Conv2d(hidden, width, 1))
                self.blocks.append((name, step == 1 and planes == width))
                planes, number = width, number + 1
        self.Conv_1 = nn.Conv2d(planes, 1280, 1)
        self.predictions = nn.Linear(1280, num_classes)
        self.act = nn.ReLU6()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 224, 224) to logits (b, num_classes)."""
        x = self.act(self.Conv1(_same(x)))
        for name, residual in self.blocks:
            x = self._block(name, x) + x if residual else self._block(name, x)
        x = self.act(self.Conv_1(x))
        logits: Tensor = self.predictions(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))
        return logits

    def _block(self, name: str, x: Tensor) -> Tensor:
        if hasattr(self, f"{name}_expand"):
            x = self.act(self.get_submodule(f"{name}_expand")(x))
        depthwise = self.get_submodule(f"{name}_depthwise")
        assert isinstance(depthwise, nn.Conv2d)
        x = self.act(depthwise(_same(x) if depthwise.stride[0] == 2 else x))
        y: Tensor = self.get_submodule(f"{name}_project")(x)
        return y


def _same(x: Tensor) -> Tensor:
    """TensorFlow's "same" padding of a 3x3 kernel with stride 2 on an even side: right and bottom only."""
    return pad(x, (0, 1, 0, 1))


def mobilenet_v2_folded(num_classes: int = 1000) -> MobileNetV2Folded:
    """MobileNetV2 of width 1.0 for 224x224 colour images, without batch norms.

    Example:
        >>> sum(p.numel() for p in mobilenet_v2_folded().parameters())
        3487816
    """
    return MobileNetV2Folded(num_classes)


ENTRIES = (
    ZooEntry(
        name="mobilenet_v2_folded",
        build=mobilenet_v2_folded,
        input_shape=(3, 224, 224),
        num_classes=1000,
        normalisation=CENTRED,
        description="MobileNetV2 1.0 for ImageNet with folded batch norms, keys and padding of Keras",
    ),
)
