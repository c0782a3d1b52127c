"""How far a network with some units gone is from the original, on a few samples: the error that a search lowers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.compensate.combination import Coefficients, Combination, combine_
from secateurs.contracts import IntArray, Loader, Ranking
from secateurs.data.batches import batches
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.layout import laid_out
from secateurs.meters.scoring import right
from secateurs.network.incremental import Caches, IncrementalRunner
from secateurs.plans import plan_from_keep
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.select import coefficients_of_gram
from secateurs.statistics.units import observe
from secateurs.surgery import remove

Repair = Literal["none", "weights", "maps"]
REPAIRS: tuple[Repair, ...] = ("none", "weights", "maps")
ErrorKind = Literal["divergence", "accuracy", "output", "features", "layer"]
ERRORS: tuple[ErrorKind, ...] = ("divergence", "accuracy", "output", "features", "layer")
Keep = Mapping[str, IntArray]
Mixes = Mapping[str, Tensor]
NO_MIXES: Mixes = {}
_CHUNK = 64


class Scores(Protocol):
    """Errors of candidates: the network as it is now, with one more group changed."""

    @property
    def passes(self) -> float:
        """What has been run, in forward passes of the whole network over all samples."""
        ...

    def trial(self, name: str, keep: Keep, mixes: Mixes = NO_MIXES) -> float:
        """The error if group `name` were as in `keep`, and all others as they are now.

        `mixes` says how kept units stand in for removed ones, where that does not follow from what is kept.
        """
        ...

    def take(self, name: str, keep: Keep, mixes: Mixes = NO_MIXES) -> None:
        """From now on group `name` is as in `keep`."""
        ...


class Samples(NamedTuple):
    """Samples in chunks of one size, their labels or None, and how many were left out for that."""

    chunks: list[tuple[Tensor, ...]]
    labels: Tensor | None
    left_out: int


def samples(data: Loader, limit: int, chunk: int = _CHUNK) -> Samples:
    """At most `limit` samples in chunks of one size, and their labels, if any.

    The size is the one, of more than half of `chunk` up to `chunk`, that leaves the fewest samples over.

    Raises:
        InputError: there is no sample.

    Example:
        >>> found = samples((torch.zeros(6, 3), torch.arange(6)), 5, chunk=3)
        >>> [tuple(x.shape) for x, in found.chunks], found.labels.tolist(), found.left_out
        ([(2, 3), (2, 3)], [0, 1, 2, 3], 1)
    """
    inputs: list[list[Tensor]] = []
    labels: list[Tensor] = []
    for xs, y in batches(data, chunk, limit=limit):
        inputs.append(list(xs))
        if y is not None and _decides(y):
            labels.append(y)
    whole = [torch.cat(parts) for parts in zip(*inputs, strict=True)]
    many = len(whole[0])
    size = min(range(min(chunk, many), chunk // 2, -1), key=lambda size: many % size, default=many)
    count = many // size
    cut = [tuple(x[i * size : (i + 1) * size] for x in whole) for i in range(count)]
    flat = torch.cat(labels)[: count * size] if labels else torch.zeros(0)
    return Samples(cut, flat if len(flat) == count * size else None, many - count * size)


def _decides(labels: Tensor) -> bool:
    """Whether these are classes, or zeros and ones where a sample has several; targets of a regression are neither."""
    if labels.dim() == 2:
        return bool(((labels == 0) | (labels == 1)).all())
    return labels.dim() == 1 and not labels.is_floating_point()


def error_of(
    kind: ErrorKind, outputs: Sequence[Tensor], wanted: Sequence[Tensor], labels: Tensor | None
) -> float:
    r"""How far outputs are from the original's.

    "output", like "features" of the last batch norm (HBGTS) and "layer" (HBGS), is
    $\lVert y - y_0 \rVert / \lVert y_0 \rVert$; "divergence" is the mean
    $KL(\mathrm{softmax}\, y_0 \,\Vert\, \mathrm{softmax}\, y)$ of the first output; "accuracy" (FP-OMP Search) is the
    share of wrong answers as accuracy is measured, against the labels or, without labels, the original's classes.

    Args:
        kind: Which.
        outputs: Tensors with the batch axis first.
        wanted: Those of the original.
        labels: Classes, shape (b,), or zeros and ones of the outputs' shape where a sample has several, or None.

    Raises:
        InputError: Outputs that are no numbers, or labels of another shape.

    Example:
        >>> y = torch.tensor([[2.0, 0.0]])
        >>> error_of("output", [y / 2], [y], None), error_of("divergence", [y], [y], None)
        (0.5, 0.0)
    """
    if not all(bool(torch.isfinite(y).all()) for y in (*outputs, *wanted)):
        raise InputError(
            "data: the network gives NaN or infinity on these samples; check their normalisation."
        )
    if kind in ("output", "features", "layer"):
        gap = sum(
            float((a.double() - b.double()).square().sum()) for a, b in zip(outputs, wanted, strict=True)
        )
        size = sum(float(b.double().square().sum()) for b in wanted)
        return math.sqrt(gap / size if size > 0 else gap)
    found, original = outputs[0].double(), wanted[0].double()
    if kind == "accuracy":
        truth = original.argmax(1) if labels is None else labels
        return 1.0 - float(right(found.cpu(), truth.cpu()).mean())
    spread = F.kl_div(F.log_softmax(found, 1), F.log_softmax(original, 1), log_target=True, reduction="none")
    return max(0.0, float(spread.sum(1).mean()))


class NotFollowed(Exception):
    """A network is not read operation by operation in a way that scores can be replayed from."""


class Replayed:
    """Scores from runs that start at the change: see `network.incremental`.

    Removed units are silenced in the original, and with a repair stood in for by the kept ones. Where the network
    of the graph is another form of the original, weights of the original are products of its weights.
    """

    def __init__(
        self,
        graph: Graph,
        chunks: Sequence[tuple[Tensor, ...]],
        labels: Tensor | None,
        kind: ErrorKind,
        repair: Repair = "weights",
        find: Coefficients = coefficients_of_gram,
    ) -> None:
        self.graph, self.kind, self.labels = graph, kind, labels
        self.combination = combination_for(graph, chunks, repair, find)
        self.tensors = dict(graph.model.named_parameters(remove_duplicate=False))
        plain, device = graph.original, device_of(graph.model)
        placed = [tuple(laid_out(x.to(device)) for x in chunk) for chunk in chunks]
        with evaluation(plain):
            self.runner = IncrementalRunner(plain, placed, fuse=kind != "layer")
        self.sites = {g.name: self.runner.reads(self._names(g.name)) for g in graph.free}
        if not all(self.sites.values()):
            raise NotFollowed("a weight is read in a way that is not followed")
        self.runner.cache_before(min(found) for found in self.sites.values())
        every = sorted({i for found in self.sites.values() for i in found}) if kind == "layer" else None
        outputs, fresh = self.runner.run()
        self.runner.commit({}, fresh)
        self.at = self.runner.last_batch_norm() if kind == "features" else None
        if self.at is not None:
            outputs, _ = self.runner.run(stop=[self.at])
        self.wanted = _joined(outputs)
        self.layers: dict[int, list[Tensor]] = {}
        if every is not None:
            found, _ = self.runner.run(stop=every)
            self.layers = {site: [chunk[k] for chunk in found] for k, site in enumerate(every)}
        self._recent: dict[str, tuple[tuple[int, ...], Caches]] = {}

    @property
    def passes(self) -> float:
        """Forward passes of the whole network over all samples."""
        return self.runner.passes

    def trial(self, name: str, keep: Keep, mixes: Mixes = NO_MIXES) -> float:
        """The error of a candidate."""
        weights, start = self._weights(name, keep, mixes), min(self.sites[name])
        if self.kind == "layer":
            return self._layer_error(name, weights, start)
        if self.at is not None:
            found, _ = self.runner.run(weights, start if start <= self.at else None, stop=[self.at])
            return error_of(self.kind, _joined(found), self.wanted, None)
        outputs, fresh = self.runner.run(weights, start)
        while len(self._recent) > 1:
            del self._recent[next(iter(self._recent))]
        self._recent[name] = (tuple(keep[name].tolist()), fresh)
        return error_of(self.kind, _joined(outputs), self.wanted, self.labels)

    def take(self, name: str, keep: Keep, mixes: Mixes = NO_MIXES) -> None:
        """Commit a candidate; runs it only where its run is not at hand."""
        weights = self._weights(name, keep, mixes)
        units, fresh = self._recent.get(name, ((), {}))
        if units != tuple(keep[name].tolist()):
            _, fresh = self.runner.run(weights, min(self.sites[name]))
        self.runner.commit(weights, fresh)
        self._recent.clear()

    def _layer_error(self, name: str, weights: Mapping[str, Tensor], start: int) -> float:
        """Mean relative error of the outputs of the layers that read the group, on what reaches them now."""
        sites = self.sites[name]
        found, _ = self.runner.run(weights, start, stop=sites)
        errors = []
        for k, site in enumerate(sites):
            outputs = [chunk[k] for chunk in found]
            errors.append(error_of("layer", outputs, self.layers[site], None))
        return sum(errors) / len(errors)

    def _names(self, name: str) -> set[str]:
        """Weights of the original network that change with a group."""
        touched, form = self.combination.touched(name), self.graph.form
        return set(touched) if form is None else {form.home(tensor) for tensor in touched}

    def _weights(self, name: str, keep: Keep, mixes: Mixes) -> dict[str, Tensor]:
        names, form, combination = self._names(name), self.graph.form, self.combination.given(mixes)
        if form is None:
            return combination.weights(keep, names)
        factors = {n: form.factors(n) for n in names}
        found = combination.weights(keep, {part for parts in factors.values() for part in parts})
        return {
            n: form.product([found.get(part, self.tensors[part].detach()) for part in parts])
            for n, parts in factors.items()
            if len(parts) > 1 or n in found
        }


class Rebuilt:
    """Scores the plain way, for any network: cut, stand in, and run every candidate from the start."""

    def __init__(
        self,
        graph: Graph,
        chunks: Sequence[tuple[Tensor, ...]],
        labels: Tensor | None,
        kind: ErrorKind,
        repair: Repair = "weights",
        find: Coefficients = coefficients_of_gram,
    ) -> None:
        if kind == "layer":
            raise InputError(
                "error: 'layer' needs a network that torch.export captures, and this one is not; use 'output'."
            )
        self.graph, self.kind, self.labels, self.passes = graph, kind, labels, 0.0
        self.combination = combination_for(graph, chunks, repair, find)
        device = device_of(graph.model)
        self.chunks = [tuple(x.to(device) for x in chunk) for chunk in chunks]
        self.wanted = self._run(graph.original)

    def trial(self, name: str, keep: Keep, mixes: Mixes = NO_MIXES) -> float:
        """The error of a candidate."""
        del name
        small = remove(self.graph.original, plan_from_keep(self.graph, keep, "", {}).cuts())
        combine_(small, self.graph, keep, self.combination.given(mixes))
        return error_of(self.kind, self._run(small), self.wanted, self.labels)

    def take(self, name: str, keep: Keep, mixes: Mixes = NO_MIXES) -> None:
        """Nothing to do: every trial starts anew."""

    @torch.no_grad()
    def _run(self, model: nn.Module) -> list[Tensor]:
        self.passes += 1.0
        with evaluation(model):
            run = _features if self.kind == "features" else _outputs
            return _joined([run(model, chunk) for chunk in self.chunks])


def combination_for(
    graph: Graph,
    chunks: Sequence[tuple[Tensor, ...]],
    repair: Repair,
    find: Coefficients = coefficients_of_gram,
) -> Combination:
    """How kept units stand in while candidates are scored: not at all, by their filters, or by their maps."""
    if repair != "maps":
        return Combination(graph, repair == "weights", find=find)
    return Combination(graph, stats=observe(graph.model, graph.free, [(*chunk, None) for chunk in chunks]))


def scores_for(
    ranking: Ranking,
    seen: Samples,
    kind: ErrorKind,
    repair: Repair = "weights",
    find: Coefficients = coefficients_of_gram,
) -> Scores:
    """The fastest scores that this network allows, on these samples."""
    make: Callable[..., Scores] = Replayed
    try:
        return make(ranking.graph, seen.chunks, seen.labels, kind, repair, find)
    except (
        NotFollowed,
        InputError,
        RuntimeError,
    ):  # not captured, or PyTorch refuses to run what was captured
        return Rebuilt(ranking.graph, seen.chunks, seen.labels, kind, repair, find)


def _joined(outputs: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.cat([chunk[k] for chunk in outputs]) for k in range(len(outputs[0]))]


def _outputs(model: nn.Module, chunk: tuple[Tensor, ...]) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(model(*chunk)) if isinstance(leaf, Tensor)]


def _features(model: nn.Module, chunk: tuple[Tensor, ...]) -> list[Tensor]:
    """What the last batch norm gives."""
    seen: list[Tensor] = []
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    handles = [norm.register_forward_hook(lambda _module, _given, out: seen.append(out)) for norm in norms]
    try:
        model(*chunk)
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise InputError(
            "error: 'features' are the values of the last batch norm, and this network has none; use 'output'."
        )
    return seen[-1:]
