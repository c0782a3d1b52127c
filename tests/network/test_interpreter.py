"""The interpreter drops what is no longer read and nothing else; runs from caches give what whole runs give."""

import copy

import pytest
import torch
from torch import nn

from networks import residual
from secateurs.network.exported import ExportedNetwork, operation
from secateurs.network.incremental import IncrementalRunner
from secateurs.network.interpreter import Front, Interpreter, affordable


def chunks(count=3, size=4):
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(size, 3, 8, 8, generator=generator),) for _ in range(count)]


def read_later(net, index):
    """Nodes that an operation from `index` on reads and that are made before, in a plain loop."""
    found = set()
    for node in net.nodes[index:]:
        found |= {net.index[n] for n in node.all_input_nodes if net.index[n] < index}
    return {i for i in found if not net.known(i)}


def test_a_front_keeps_what_is_read_later_and_nothing_else():
    net = ExportedNetwork(residual().eval(), chunks()[0])
    front = Front(net, chunks())
    front.admit(2)
    for index in [i for i, node in enumerate(net.nodes) if node.op == "call_function"]:
        front.advance(index)
        for values in front.chunks:
            assert set(values) == read_later(net, index)
    assert len(front.chunks) == 2


def test_a_pinned_value_stays_until_its_time():
    net = ExportedNetwork(residual().eval(), chunks()[0])
    first = next(i for i, node in enumerate(net.nodes) if operation(node) == "conv2d")
    front = Front(net, chunks())
    front.interpreter.pin(first, len(net.nodes) - 2)
    front.admit(1)
    front.advance(len(net.nodes) - 2)
    assert first in front.chunks[0]


def test_a_late_chunk_is_brought_to_where_the_others_are():
    net = ExportedNetwork(residual().eval(), chunks()[0])
    early, late = Front(net, chunks()), Front(net, chunks())
    early.admit(3)
    middle = len(net.nodes) - 4
    early.advance(middle)
    late.admit(1)
    late.advance(middle)
    late.admit(3)
    for a, b in zip(early.chunks, late.chunks, strict=True):
        assert set(a) == set(b)
        assert all(torch.equal(a[i], b[i]) for i in a)


def test_the_widest_moment_is_that_of_a_plain_count():
    net = ExportedNetwork(residual().eval(), chunks()[0])
    front, sizes = Front(net, chunks()), []
    front.admit(1)
    values = dict(zip(net.inputs, chunks()[0], strict=True))
    interpreter = Interpreter(net)
    for i in interpreter.ops:
        before = sum(v.numel() * v.element_size() for v in values.values())
        interpreter.run(values, [i])
        made = net.nodes[i].meta["val"]
        sizes.append(before + made.numel() * made.element_size())
    assert front.widest() >= max(sizes) - 1
    assert front.widest() <= max(sizes) + max(sizes) // 2


@pytest.mark.parametrize("fuse", [False, True])
def test_runs_from_caches_give_what_the_changed_network_gives(fuse):
    model = residual().eval()
    runner = IncrementalRunner(model, chunks(), fuse=fuse)
    names = [n for n, p in model.named_parameters() if p.dim() == 4]
    runner.cache_before(min(runner.reads([name])) for name in names)
    _, fresh = runner.run()
    runner.commit({}, fresh)
    assert runner.passes == pytest.approx(1.0)
    changed = copy.deepcopy(model)
    for name in (names[-1], names[0], names[1]):
        weight = dict(model.named_parameters())[name].detach() * 1.5
        with torch.no_grad():
            dict(changed.named_parameters())[name].copy_(weight)
            wanted = [changed(*chunk) for chunk in chunks()]
        found, fresh = runner.run({name: weight}, min(runner.reads([name])))
        for (a,), b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        runner.commit({name: weight}, fresh)
    assert 1.0 < runner.passes < 4.0  # the last layer alone is a part of a pass


def test_chunks_that_fit():
    assert affordable(1.0, 2**30) == 1
    assert affordable(0.5, 2**20) == 512


def test_the_output_of_a_network_that_returns_its_input_is_there():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            return x, self.linear(x)

    x = torch.randn(2, 3)
    runner = IncrementalRunner(Both().eval(), [(x,)])
    (first, second) = runner.run()[0][0]
    assert torch.equal(first, x)
    assert second.shape == (2, 2)
