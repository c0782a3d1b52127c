"""What a run of prune() is made of: a method, an allocation, a repair, and the data they look at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from secateurs import allocate as allocations
from secateurs import compensate as repairs
from secateurs import methods
from secateurs.allocate.sequence import Allocation
from secateurs.contracts import Loader, Progress, Ranking
from secateurs.data.batches import Batch, repeatable
from secateurs.errors import InputError
from secateurs.floor import Judge, held_out, plan_for_accuracy
from secateurs.graph import Graph
from secateurs.latency import Measure, check_latency, plan_for_latency
from secateurs.observe.glances import glances
from secateurs.planning import plan, rank
from secateurs.recover.recalibrate import recalibrate_
from secateurs.report.scoring import Metric
from secateurs.surgery import Plan, remove
from secateurs.surgery.copies import copy_model
from secateurs.surgery.cut import named_tensors
from secateurs.surgery.frame import fold_frames
from secateurs.survey import Survey, survey

WITH_DATA = ("moments", "sensitivity", "least-squares")
# Of 11 data-free methods, shared out uniformly or globally, bare or with "weights", the best on held-out training
# images of CIFAR-10: 85.4, 57.2 and 88.2 % for ResNet-20 at 80 and 70 % of its MACs and ResNet-32 at 80 %, where
# uniform l1-norm leaves 74.0, 48.8 and 65.2 %. "weights" mixes filters across ReLUs and costs accuracy there.
DATA_FREE = ("fp-backward", "global", "none")
# What a search repairs its candidates with, by the repair of the result.
_SCORED_AS = {name: name if name in ("none", "weights") else "maps" for name in repairs.names()}


@dataclass(frozen=True)
class Wish:
    """How small the network is to be: one target or none, and what it is to be reached by.

    `measure` is the user's own measurement of latency.
    """

    target: tuple[str, float] | None
    allocation: Allocation
    round_to: int = 1
    layers: Mapping[str, float] | None = None
    measure: Measure | None = None


_UNCOUNTED = {"trace", "rank", "plan", "remove", "verify", "costs"}


class Clock:
    """Seconds by stage; who is told of progress hears when a stage begins and ends that counts no steps itself."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.progress = progress

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time until the end of the block to a stage."""
        start = time.perf_counter()
        told = self.progress if stage in _UNCOUNTED else None
        if told is not None:
            told(stage, 0, 1)
        try:
            yield
            if told is not None:
                told(stage, 1, 1)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Recipe:
    """The parts of a run, chosen and checked; `allocate` is a name until the data have been looked at."""

    method: methods.Method
    allocate: str | Allocation
    compensate: str
    recalibrate: bool = False
    data: Loader | None = None
    calibrate: int = 2048
    seed: int = 0
    progress: Progress | None = None
    holdout: Sequence[Batch] | None = None
    metric: Metric | None = None

    @classmethod
    def of(
        cls,
        method: str | methods.Method | None,
        allocate: str | Allocation | None,
        compensate: str | None,
        recalibrate: bool,
        data: Loader | None,
        calibrate: int,
        seed: int,
        progress: Progress | None,
        drop: float | None = None,
        holdout: Loader | None = None,
        metric: Metric | None = None,
    ) -> Recipe:
        """Fill in what was not said, and refuse what cannot go together.

        Where accuracy may drop by so much, a part of the data is held out to measure it; see `floor.held_out`.

        Raises:
            InputError: An unknown name, or data missing.
        """
        named = method is not None
        usual = ("", "uniform", "none") if named else WITH_DATA if data is not None else DATA_FREE
        chosen = methods.get(method or usual[0]) if method is None or isinstance(method, str) else method
        if chosen.search is not None:
            usual = (chosen.name, "search", "weights")
        methods.check_data(chosen, data is not None)
        allocation = allocate if allocate is not None else usual[1]
        if isinstance(allocation, str):
            allocations.check(allocation, data)
        repair = compensate if compensate is not None else usual[2]
        repairs.check(repair, data)
        if calibrate < 1:
            raise InputError(f"calibrate is {calibrate}; give at least one sample.")
        if recalibrate and data is None:
            raise InputError(
                "data: recalibration estimates statistics from data and got none; give some training data."
            )
        held = None if data is None else repeatable(data, calibrate)
        if drop is None and (holdout is not None or metric is not None):
            raise InputError("holdout and metric are for accuracy_drop; leave them out, or give it.")
        aside = None
        if drop is not None:
            held, aside = held_out(held, drop, calibrate, holdout)
        return cls(chosen, allocation, repair, recalibrate, held, calibrate, seed, progress, aside, metric)

    def ranked(self, graph: Graph, clock: Clock) -> tuple[Ranking, Allocation]:
        """Orders of all free groups, and the allocation with what it needs to know."""
        measured = self.allocate == "sensitivity"
        if self.allocate == "search":
            search = allocations.Search(
                **{"repair": _SCORED_AS[self.compensate], **(self.method.search or {})}
            )
            held = self.holdout if self.holdout is not None else self.data
            return self._ranking(graph, clock), search.on(held, self.progress)
        if measured and self.method.surveys:  # one survey gives both
            with clock("observe"):
                found = self._survey(graph)
            with clock("rank"):
                return rank(graph, self.method, found.orders, seed=self.seed), found.sensitivity()
        ranking = self._ranking(graph, clock)
        if not measured:
            made = allocations.get(self.allocate) if isinstance(self.allocate, str) else self.allocate
            return ranking, made
        with clock("observe"):
            found = self._survey(graph, orders=ranking.orders)
        return ranking, found.sensitivity()

    def _survey(self, graph: Graph, **more: Any) -> Survey:
        return survey(
            graph.model,
            graph,
            self.data,
            limit=self.calibrate,
            seed=self.seed,
            progress=self.progress,
            **more,
        )

    def _ranking(self, graph: Graph, clock: Clock) -> Ranking:
        with clock("observe"):
            stats = self._seen(graph)
        with clock("rank"):
            return rank(graph, self.method, stats, seed=self.seed)

    def _seen(self, graph: Graph) -> Mapping[str, Any] | None:
        if self.data is None:
            return None
        if self.method.surveys:
            return self._survey(graph, levels=()).orders
        if self.method.look is None:
            return None
        seen: Mapping[str, Tensor] = glances(
            graph.model,
            graph.free,
            self.data,
            self.method.look,
            gradients=self.method.gradients,
            limit=self.calibrate,
            progress=self.progress,
        )
        return seen

    def planned(self, ranking: Ranking, wish: Wish, example: Any) -> Plan:
        """Keep-sets for the wish; latency and accuracy are measured on candidates."""
        settings: dict[str, Any] = {
            "allocate": wish.allocation,
            "round_to": wish.round_to,
            "layers": wish.layers,
        }
        if wish.target is None:
            return plan(ranking, **settings)
        name, value = wish.target
        if name == "latency":
            return plan_for_latency(ranking, value, example, measure=wish.measure, **settings)
        if name == "accuracy_drop":
            judge = self._judge(ranking.graph.original)
            return plan_for_accuracy(
                ranking, value, judge, lambda made: self._candidate(ranking.graph, made), **settings
            )
        return plan(ranking, **{**settings, name: value})

    def checked(self, model: nn.Module, small: nn.Module, wish: Wish, example: Any) -> tuple[str, ...]:
        """What there is to remark on a target that can only be measured, now that the network is finished.

        Raises:
            TargetError: The target is not met.
        """
        name, value = wish.target or ("", 1.0)
        if name == "accuracy_drop":
            judge = self._judge(model)
            return judge.remarks(value, judge.drop(small))
        if name == "latency" and value < 1:
            return (check_latency(model, small, value, example, measure=wish.measure),)
        return ()

    def _judge(self, model: nn.Module) -> Judge:
        return Judge.of(model, self.holdout or (), self.metric)

    def _candidate(self, graph: Graph, made: Plan) -> nn.Module:
        small = remove(graph.model, made.unfolded())
        small, made, _ = self.repaired(graph.model, small, graph, made, Clock())
        return fold_frames(small, made.folds)

    def repaired(
        self, model: nn.Module, small: nn.Module, graph: Graph, made: Plan, clock: Clock
    ) -> tuple[nn.Module, Plan, tuple[str, ...]]:
        """The smaller network repaired, the plan with the biases that were added, and what there is to remark.

        Repairs run a copy; what comes back is made from the original once more and has run nothing.
        """
        remarks: tuple[str, ...] = ()
        if self.compensate == "none" and not self.recalibrate:
            return small, made, remarks
        folds, made, work = made.folds, made.unfolded(), copy_model(small)
        if self.compensate != "none":
            with clock("compensate"):
                done = repairs.repair_(
                    self.compensate,
                    work,
                    graph.model,
                    graph,
                    made,
                    self.data,
                    limit=self.calibrate,
                    seed=self.seed,
                    progress=self.progress,
                )
            made = made.with_added(added_biases(graph.model, work))
            remarks = done.remarks
        if self.recalibrate:
            with clock("recalibrate"):
                recalibrate_(work, self.data, limit=self.calibrate, progress=self.progress)
        repaired = remove(model, made)
        take_weights_(repaired, work)
        return repaired, made.folded(folds), remarks


@torch.no_grad()
def take_weights_(network: nn.Module, other: nn.Module) -> None:
    """Give a network the parameters and the batch-norm statistics of another of the same shapes.

    Example:
        >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> take_weights_(a, b)
        >>> torch.equal(a.weight, b.weight)
        True
    """
    found: dict[str, Tensor] = dict(other.named_parameters(remove_duplicate=False))
    for path, module in other.named_modules(remove_duplicate=False):
        if isinstance(module, nn.modules.batchnorm._NormBase):
            found.update(
                {f"{path}.{name}" if path else name: b for name, b in module.named_buffers(recurse=False)}
            )
    for name, tensor in named_tensors(network):
        if name in found:
            tensor.copy_(found[name])


def added_biases(model: nn.Module, small: nn.Module) -> dict[str, int]:
    """Biases that the smaller network has and the original has not, with their lengths.

    Example:
        >>> added_biases(nn.Linear(2, 3, bias=False), nn.Linear(2, 3))
        {'bias': 3}
    """
    before = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return {
        name: parameter.numel()
        for name, parameter in small.named_parameters(remove_duplicate=False)
        if name not in before
    }
