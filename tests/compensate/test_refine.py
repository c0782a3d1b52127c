import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateurs as sc
from secateurs.compensate import refine
from secateurs.compensate.walk import samples_of, stops
from secateurs.network.blocks import blocks
from secateurs.network.exported import ExportedNetwork
from secateurs.network.paired import PairedNetworks
from secateurs.plans import plan_from_keep

ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.LeakyReLU(), nn.ELU(), nn.SELU(), nn.CELU(),
    nn.Mish(), nn.Softplus(), nn.Sigmoid(), nn.Tanh(), nn.Hardsigmoid(),
]  # fmt: skip
PASSAGES = [
    nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.MaxPool2d(2), nn.AvgPool2d(2),
    nn.AdaptiveAvgPool2d(2), nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="bilinear"),
]  # fmt: skip
NAMES = [type(m).__name__ for m in (*ACTIVATIONS, *PASSAGES)]


def net_with(between: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), between, nn.Conv2d(12, 6, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).eval()  # fmt: skip


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def stop_of(model: nn.Module, keep: dict, name: str):
    graph = sc.trace(model, images(1))
    plan = plan_from_keep(graph, {k: np.array(v) for k, v in keep.items()}, "test", {})
    small = sc.remove(model, plan)
    pair = PairedNetworks(model, small, samples_of(images(400), 400, torch.device("cpu")))
    stop = next(s for s in stops(pair, plan, ridge=1e-5, seed=0) if s.block.layer.name == name)
    pair.advance(stop.block.first())
    return stop


@pytest.mark.parametrize("between", [*ACTIVATIONS, *PASSAGES], ids=NAMES)
def test_the_layer_before_is_refitted_through_what_lies_between(between):
    model = net_with(between)
    stop = stop_of(model, {"0": range(6)}, "3")
    assert [maker.name for maker in stop.block.producers] == ["0"]
    before = error(stop)
    assert refine.refine_(stop) < 1
    assert error(stop) < 0.95 * before


def error(stop) -> float:
    with torch.no_grad():
        each = [
            stop.wanted(i, stop.block.end) - stop.pair.small.pull(stop.block.end, small)
            for i, (_, small) in enumerate(stop.pair.chunks)
        ]
    return float(torch.cat(each).square().sum())


@pytest.mark.parametrize("between", [nn.SiLU(), nn.Hardswish(), *PASSAGES], ids=lambda m: type(m).__name__)
def test_products_with_the_jacobian_are_transposes_and_derivatives(between):
    stop = stop_of(net_with(between), {"0": range(6)}, "3")
    unknowns = [refine._unknown(stop, maker, [0]) for maker in stop.block.producers]
    leaves = refine._leaves(stop, unknowns)
    part = refine._linearised(stop, leaves, 0, refine._values(stop, 0))
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(leaf.shape, generator=generator) for leaf in leaves.values()]
    u = torch.randn(part.error.shape, generator=generator)
    there, back = part.forth(x), part.back(u)
    assert float((there * u).sum()) == pytest.approx(
        sum(float((a * b).sum()) for a, b in zip(x, back, strict=True)), rel=1e-4
    )
    step = 1e-3
    with torch.no_grad():
        tried = [
            refine._output(
                stop,
                refine._values(stop, 0),
                {k: leaf + sign * step * m for (k, leaf), m in zip(leaves.items(), x, strict=True)},
            )
            for sign in (1, -1)
        ]
    close = ((tried[0] - tried[1]) / (2 * step) - there).abs() < 0.02 * (1 + there.abs())
    assert close.double().mean() > 0.85  # all but where a pool or the ReLU at the end switches


def test_makers_are_followed_through_a_pad_before_a_depthwise_layer():
    class Strided(nn.Module):
        def __init__(self):
            super().__init__()
            self.expand, self.project = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 6, 1)
            self.depthwise = nn.Conv2d(12, 12, 3, stride=2, groups=12)
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            x = F.pad(F.relu6(self.expand(x)), (0, 1, 0, 1))
            return self.head(self.project(F.relu6(self.depthwise(x))).mean((2, 3)))

    found = {block.layer.name: block for block in blocks(ExportedNetwork(Strided().eval(), (images(4),)))}
    assert [maker.name for maker in found["project"].producers] == ["depthwise", "expand"]
    assert [maker.name for maker in found["head"].producers] == ["project"]
