"""The walk of a sequential repair: from the input to the output, refit one layer after the other.

Each layer is fitted to what the *pruned* network feeds it, so that it makes good the errors made before it, and
to what the *original* has at the same place with the shortcut added, so that errors do not add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.compensate.pace import Pace
from secateurs.compensate.refit import refit, unexplained
from secateurs.contracts import Loader
from secateurs.data.batches import joined
from secateurs.effort import Effort
from secateurs.layers.batch_norm import shift_
from secateurs.layers.linear_map import from_matrix, linear_map, matrix, output_rows, positions, rows
from secateurs.layout import laid_out
from secateurs.network.blocks import Block, blocks, norm_module, norm_name, norm_of
from secateurs.network.paired import PairedNetworks
from secateurs.statistics.moments import Moments
from secateurs.surgery.plan import Plan

FLOPS = 4e11  # a Gram matrix is given at most so many multiply-adds, unless that were too few rows
_LEAST_ROWS = 100_000
# Inputs of a layer: Gram matrices of wider ones would fill the memory (25,088 in the first linear layer of VGG).
WIDEST = 8192
_CHUNK = 100
_VALUES = 4e6  # of a chunk's input
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_FEW = 2  # samples for every channel that the widest layer reads: of fewer, some are never fitted to
_FOLD = 5  # every fifth chunk tells how the fits to the others do


@dataclass(frozen=True)
class Repaired:
    """What a repair did: share of every refitted layer's output that it could not reproduce, and remarks."""

    method: str
    unexplained: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.method} on {self.samples} samples: {len(self.unexplained)} layers refitted"
        return "\n".join([head, *self.remarks])


@dataclass(frozen=True)
class Fit:
    """How well one layer could be refitted: share of its output not reproduced, and rows of data per input."""

    left: float
    rows: int
    width: int

    def remark(self, name: str) -> tuple[str, ...]:
        """A word where the data are too few to say much, or the layer is too wide."""
        if self.width > WIDEST:
            return (
                f"{name}: with {self.width} inputs too wide to be refitted; its bias is, its weights are not.",
            )
        if self.rows >= 2 * self.width:
            return ()
        return (
            f"{name}: only {self.rows} rows of data for {self.width} inputs, so that its weights stay near what they "
            "were; give more samples",
        )


@dataclass(frozen=True, eq=False)
class Stop:
    """One layer on the walk: where it is, and which channels of the original its outputs are.

    `apart`: the chunks that choose the ridge, and when a refinement ends, are never fitted to. Layers before would
    else have learnt them by heart, and tell this one that little is noise.
    """

    pair: PairedNetworks
    block: Block
    kept: Tensor | None
    ridge: float
    generator: torch.Generator
    pace: Pace = field(default_factory=lambda: Pace.of("default"))
    apart: bool = False

    @property
    def module(self) -> nn.Module:
        """The layer in the smaller network."""
        return self.pair.small.net.model.get_submodule(self.block.layer.name)

    def wanted(self, chunk: int, node: int) -> Tensor:
        """What the original has at a node, restricted to the channels that stay."""
        full = self.pair.chunks[chunk][0]
        if node not in full:
            full[node] = self.pair.full.pull(node, full)
        value: Tensor = full[node]
        return self.part(value)

    def part(self, value: Tensor) -> Tensor:
        """The channels that stay of a value of the original at the end of this layer."""
        axis = value.dim() - 1 if self.linear() else 1
        return value if self.kept is None else value.index_select(axis, self.kept)

    def target(self, chunk: int, local: Mapping[int, Any], wanted: Tensor | None = None) -> Tensor:
        """What the layer itself has to give: the wanted sum less the shortcut, before the batch norm."""
        run, block = self.pair.small, self.block
        wanted = self.wanted(chunk, block.total) if wanted is None else wanted
        wanted = wanted if block.residual is None else wanted - run.pull(block.residual, local)
        scale = norm_of(run.net, block.layer)
        if scale is None:
            return wanted
        shape = (1, -1, *(1 for _ in range(wanted.dim() - 2)))
        factor = torch.where(scale[0].abs() > 0, scale[0], torch.ones_like(scale[0]))
        return (wanted - scale[1].reshape(shape)) / factor.reshape(shape)

    def linear(self) -> bool:
        """Whether channels are on the last axis."""
        form = linear_map(self.module)
        return form is not None and form.kind == "linear"

    def rows(self, x: Tensor, y: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Rows of the layer's input and output at the same places; of those there are to look at, a share."""
        form = linear_map(self.module)
        assert form is not None
        chosen = self._places(form.width, positions(self.module, y), x, share)
        return rows(self.module, x, chosen), output_rows(self.module, y, chosen)

    def _places(self, width: int, places: int, x: Tensor, share: float) -> Tensor | None:
        """So many output positions of each sample that the Gram matrix is well determined and cheap.

        Drawn anew for every chunk: a few places for all samples would miss what borders do.
        """
        most = int(FLOPS / max(1, width) ** 2)
        wanted = max(_LEAST_ROWS, 20 * width, min(self.pace.rows * width, most))
        wanted = max(int(share * min(wanted, most)), 20 * width)
        each = -(-wanted // max(1, len(x) * len(self.pair.chunks)))
        if each >= places:
            return None
        return torch.randperm(places, generator=self.generator)[:each].sort().values.to(x.device)


def samples_of(data: Loader, limit: int, device: torch.device) -> list[tuple[Tensor, ...]]:
    """Calibration samples in chunks of equal size, on the device of the model; labels are dropped.

    A chunk has a hundred samples, or of large ones so many that its values stay small, and there are five chunks where
    there are so many samples. Samples are dealt like cards, so that a chunk of sorted data is no single class.

    Raises:
        InputError: No samples.
    """
    whole = joined(data, limit)
    chunk = min(_CHUNK, max(_CHUNK // 5, int(_VALUES / max(x[0].numel() for x in whole))))
    chunk = min(chunk, max(1, len(whole[0]) // _FOLD))
    count = -(-len(whole[0]) // chunk)
    size = len(whole[0]) // count  # equal chunks lose fewer samples than there are chunks
    return [tuple(laid_out(x[i::count][:size].to(device)) for x in whole) for i in range(count)]


def stops(
    pair: PairedNetworks, plan: Plan, *, ridge: float, seed: int, effort: Effort = "default"
) -> list[Stop]:
    """The layers to refit: those that lost inputs, and those whose sum can make good a shortcut's errors."""
    slices: Mapping[str, Mapping[int, Any]] = plan.steps[-1].slices if plan.steps else {}
    generator = torch.Generator().manual_seed(seed)
    full = {block.layer.name: block for block in blocks(pair.full.net)}
    found = []
    for block in blocks(pair.small.net):
        if block.layer.name not in full or full[block.layer.name].total != block.total:
            continue
        form = linear_map(pair.small.net.model.get_submodule(block.layer.name))
        cut = slices.get(f"{block.layer.name}.weight", {})
        ins, outs = (0, 1) if form is not None and form.kind == "transposed" else (1, 0)
        if form is None or (ins not in cut and block.residual is None) or (ins == 0 and form.groups > 1):
            continue
        device = next(pair.small.net.model.parameters()).device
        kept = torch.tensor(cut[outs], device=device) if outs in cut else None
        found.append(Stop(pair, block, kept, ridge, generator, Pace.of(effort)))
        for node in _outside(pair, block):
            pair.pin(node, block.end + 1)
    few = pair.given < _FEW * max((_reads(stop) for stop in found), default=0)
    return sorted((replace(stop, apart=few) for stop in found), key=lambda stop: stop.block.first())


def _reads(stop: Stop) -> int:
    """How many channels one group of a layer reads, where it is one that can be refitted."""
    form = linear_map(stop.module)
    return 0 if form is None or form.width > WIDEST else form.inputs


def judges(number: int, count: int) -> bool:
    """Whether a chunk, of so many, tells how the fits to the others do.

    Example:
        >>> [number for number in range(10) if judges(number, 10)], [judges(n, 2) for n in (0, 1)]
        ([4, 9], [False, True])
    """
    return number % _FOLD == _FOLD - 1 or (count < _FOLD and number == count - 1 > 0)


def _outside(pair: PairedNetworks, block: Block) -> list[int]:
    """Values that a repair of this block reads again and again: what its first layer reads."""
    net = pair.small.net
    return [net.index[n] for n in net.nodes[block.first()].all_input_nodes[:1]]


def refit_(stop: Stop, *, rectify: bool = False, last: bool = True) -> Fit:
    """Refit one layer by least squares, in place; what a refinement follows is not `last` and looks at less.

    With `rectify`, and a ReLU after the sum, what the ReLU sets to zero in both networks is no error: where the
    original is not positive, the target is the smaller of the present output and 0.
    """
    form = linear_map(stop.module)
    if form is not None and form.width > WIDEST:
        return _shifted_(stop, form.width)
    known, held = _moments(stop, rectify and stop.block.rectified, 1.0 if last else stop.pace.first)
    layer, net = stop.module, stop.pair.small.net
    bias = getattr(layer, "bias", None)
    norm = norm_module(net, stop.block.layer)
    shift = bias if bias is not None else getattr(norm, "bias", None)
    before = matrix(layer).double()
    ridge = _ridge(stop.ridge, known, held, before, shift is not None)
    gram, cross, energy, count = (known if held is None or stop.apart else known + held).normal()
    weights, constant = refit(gram, cross, before, ridge=ridge, constant=shift is not None)
    left = unexplained(gram, cross, energy, weights, constant).sum()
    scale = norm_of(net, stop.block.layer)
    with torch.no_grad():
        weight = layer.get_parameter("weight")
        live = _live(scale, weights)
        weights = torch.where(live[:, :, None], weights, before)
        weight.copy_(from_matrix(layer, weights.to(weight.dtype)))
        if bias is not None:
            bias.copy_(torch.where(live, constant, bias.double().view_as(constant)).ravel())
        elif shift is not None and scale is not None:
            shift.add_(torch.where(live, constant, 0.0).ravel().to(shift.dtype) * scale[0])
    return Fit(float(left / energy.sum().clamp_min(1e-300)), count, gram.shape[1] - 1)


@torch.no_grad()
def _shifted_(stop: Stop, width: int) -> Fit:
    """Add a constant to what the layer gives, wherever it can be put, so that the mean is right."""
    run, block = stop.pair.small, stop.block
    total, energy, left, count = torch.zeros((), dtype=torch.float64), 0.0, 0.0, 0
    for number, (_, values) in enumerate(stop.pair.chunks):
        target = output_rows(stop.module, stop.target(number, dict(values)), None).flatten(1).double()
        error = (
            target - output_rows(stop.module, run.pull(block.layer.node, values), None).flatten(1).double()
        )
        total = total.to(error) + error.sum(0)
        energy += float(target.square().sum())
        left += float(error.square().sum())
        count += len(error)
    mean = total / count
    if shift_(run.net.model, block.layer.name, mean, norm_name(run.net, block.layer)):
        left -= count * float(mean.square().sum())
    return Fit(left / max(energy, 1e-300), count, width)


def _live(scale: tuple[Tensor, Tensor] | None, weights: Tensor) -> Tensor:
    """Outputs that a batch norm does not multiply by (nearly) nothing, shape (groups, outputs)."""
    if scale is None:
        return torch.ones(weights.shape[:2], dtype=torch.bool, device=weights.device)
    size = scale[0].abs()
    return (size > 1e-6 * size.max()).reshape(weights.shape[:2])


@torch.no_grad()
def _moments(stop: Stop, rectify: bool, share: float) -> tuple[Paired, Paired | None]:
    """Moments of what the layer reads and of what it has to give; those of a fifth of the samples apart."""
    run, block = stop.pair.small, stop.block
    source = run.net.given(block.layer.node, 0)
    assert source is not None
    sums: list[Paired | None] = [None, None]
    count = len(stop.pair.chunks)
    for number, (_, values) in enumerate(stop.pair.chunks):
        local = dict(values)
        x, wanted = run.pull(source, local), None
        if rectify:
            wanted = stop.wanted(number, block.total)
            reached = run.pull(block.total, {**local, source: x})
            wanted = torch.where(wanted > 0, wanted, reached.clamp_max(0))
        part = Paired.of(*stop.rows(x, stop.target(number, local, wanted), share))
        side = int(judges(number, count))
        before = sums[side]
        sums[side] = part if before is None else before + part
    assert sums[0] is not None
    return sums[0], sums[1]


@dataclass(frozen=True, eq=False)
class Paired:
    """Moments of input rows s (with a 1 at the end) and outputs y together; `width` numbers of a row are s."""

    moments: Moments
    width: int

    @classmethod
    def of(cls, rows_: Tensor, outputs: Tensor) -> Paired:
        """From rows (n, g, d) and outputs (n, g, o).

        Example:
            >>> made = Paired.of(torch.ones(2, 1, 1), torch.tensor([[[1.0]], [[3.0]]]))
            >>> gram, cross, energy, count = made.normal()
            >>> gram.tolist(), cross.tolist(), energy.tolist(), count
            ([[[1.0, 1.0], [1.0, 1.0]]], [[[2.0], [2.0]]], [[5.0]], 2)
        """
        joined = torch.cat([rows_, torch.ones_like(rows_[..., :1]), outputs], 2)
        return cls(Moments.of(joined), rows_.shape[2] + 1)

    def __add__(self, other: Paired) -> Paired:
        return Paired(self.moments + other.moments, self.width)

    def normal(self) -> tuple[Tensor, Tensor, Tensor, int]:
        """E[s s^T], E[s y^T], E[y^2], and how many rows."""
        full, d = self.moments.gram(), self.width
        energy = full.diagonal(dim1=1, dim2=2)[:, d:]
        return full[:, :d, :d], full[:, :d, d:], energy, int(self.moments.count)


def _ridge(least: float, known: Paired, held: Paired | None, before: Tensor, constant: bool) -> float:
    """Of `least` and larger ridges the one whose fit to most samples does best on the others."""
    if held is None:
        return least
    gram, cross, _, _ = known.normal()
    other = held.normal()[:3]
    errors = {}
    for ridge in (least, *(r for r in _RIDGES if r > least)):
        fitted = refit(gram, cross, before, ridge=ridge, constant=constant)
        errors[ridge] = float(unexplained(*other, *fitted).sum())
    return min(errors, key=lambda ridge: errors[ridge])


def unsupported(found: Sequence[Stop], plan: Plan, pair: PairedNetworks) -> tuple[str, ...]:
    """Layers that lost inputs and cannot be refitted here, in words."""
    known = {stop.block.layer.name for stop in found}
    missing = []
    for tensor, axes in (plan.steps[-1].slices if plan.steps else {}).items():
        name = tensor.rpartition(".")[0]
        module = pair.small.net.model.get_submodule(name)
        form = linear_map(module)
        ins = 0 if form is not None and form.kind == "transposed" else 1
        if name not in known and ins in axes:
            missing.append(
                f"{tensor}: its layer is called or made in a way that is not refitted; left as it was"
            )
    return tuple(missing)
