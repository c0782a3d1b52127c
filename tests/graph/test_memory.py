"""Peak activation memory: networks counted by hand, and a plain statement of the same rule."""

import pytest
import torch
from torch import nn

import secateurs as sc


class Residual(nn.Module):
    def __init__(self, inplace=False):
        super().__init__()
        self.stem, self.a, self.b = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.Conv2d(6, 4, 3, padding=1),
        )
        self.act, self.out = nn.ReLU(inplace), nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        y = self.b(self.act(self.a(x)))
        return self.out((x + y).mean((2, 3)))


class Concat(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 6, 1), nn.Conv2d(10, 2, 1)

    def forward(self, x):
        return self.c(torch.cat([self.a(x), self.b(x)], 1))


def chain():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 5))


# Elements alive while each operation runs, by hand; (c, h, w) are 64 places a channel unless said otherwise.
BY_HAND = [
    # conv: x 3*64, 8*36; relu: 8*36 twice; conv: 8*36, 4*16; flatten is a view; linear: 64, 5
    (chain, (3, 8, 8), [192 + 288, 288 + 288, 288 + 64, 64, 64 + 5]),
    # stem: x, 4; a: 4, 6; relu: 4, 6, 6; b: 4, 6, 4; add: 4, 4, 4; mean: 4, then 4 numbers; linear
    (Residual, (3, 8, 8), [64 * 7, 64 * 10, 64 * 16, 64 * 14, 64 * 12, 64 * 4 + 4, 6]),
    # the same, but the relu writes where it reads
    (lambda: Residual(True), (3, 8, 8), [64 * 7, 64 * 10, 64 * 10, 64 * 14, 64 * 12, 64 * 4 + 4, 6]),
    # a: x, 4; b: x, 4, 6; cat: 4, 6, 10; c: 10, 2
    (Concat, (1, 8, 8), [64 * 5, 64 * 11, 64 * 20, 64 * 12]),
]


@pytest.mark.parametrize(("make", "shape", "wanted"), BY_HAND)
@pytest.mark.parametrize("batch", [1, 3])
def test_networks_counted_by_hand(make, shape, wanted, batch):
    memory = sc.trace(make().eval(), torch.zeros(batch, *shape)).memory
    found = memory.alive()[1:].tolist()
    assert memory.peak() == max(wanted)
    assert [n for n in wanted if n not in found] == []
    assert max(found) == max(wanted)


@pytest.mark.parametrize("make", [chain, Residual, Concat])
def test_a_smaller_network_has_what_the_plan_says(make):
    shape = next(shape for made, shape, _ in BY_HAND if made is make)
    net, x = make().eval(), torch.zeros(1, *shape)
    graph = sc.trace(net, x)
    result = sc.prune(net, x, method="l1-norm", keep=0.5)
    kept = [len(result.plan.kept.get(g.name, range(g.size))) for g in graph.groups]
    smaller = sc.trace(result.model, x).memory.peak()
    assert graph.memory.peak(torch.tensor(kept).numpy()) == smaller == result.peaks[1] < result.peaks[0]


def plainly(program):
    """The rule once more, from the end of the program backwards, on sets of tensors."""
    home = {}
    for op in program.ops:
        source = op.args[op.within] if op.within >= 0 else None
        home.update((out, home.get(source, source)) for out in op.outs if source is not None)
    state = {*program.state, *program.constants}
    alive, most = {home.get(v, v) for v in program.outputs}, 0
    for op in reversed(program.ops):
        made = {home.get(v, v) for v in op.outs if v is not None}
        read = {home.get(v, v) for v in op.values()} - state
        most = max(most, sum(v.numel() for v in alive | made | read))
        alive = (alive - {v for v in made if v not in read}) | read
    return most


@pytest.mark.parametrize("name", ["resnet20", "digits_cnn"])
def test_networks_of_the_zoo_agree_with_the_plain_statement(name):
    from secateurs.graph import Tracer
    from secateurs.zoo import build

    x = torch.zeros(1, 3, 32, 32) if name == "resnet20" else torch.zeros(1, 1, 8, 8)
    tracer = Tracer(build(name).eval(), x)
    assert tracer.graph().memory.peak() == plainly(tracer.programs[0])
