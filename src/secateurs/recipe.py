"""What a run of prune() is made of: a method, an allocation, a repair, and the data they look at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from secateurs import allocate as allocations
from secateurs import compensate as repairs
from secateurs import methods, select
from secateurs.allocate import Allocation
from secateurs.allocate.sensitivity import Curve
from secateurs.arguments import check_config
from secateurs.compensate import Repair
from secateurs.compensate.combination import Combination
from secateurs.config import PruneConfig
from secateurs.contracts import Example, Loader, Progress, Ranking
from secateurs.data.batches import Batch, batches
from secateurs.data.calibration import Calibration
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.layers.tensors import named_tensors
from secateurs.looking import look
from secateurs.meters.named import metric_of
from secateurs.meters.scoring import Metric
from secateurs.network.exported import Exports
from secateurs.planning import rank
from secateurs.recover.recalibrate import recalibrate_
from secateurs.running.copies import copy_model
from secateurs.surgery import Plan, remove
from secateurs.surgery.remove import finish
from secateurs.survey import Survey, survey
from secateurs.targets import AccuracyDrop, Attempt, Target
from secateurs.targets.accuracy import held_out
from secateurs.targets.given import bounds_for, no_target

WITH_DATA = ("moments", "sensitivity", "least-squares")
# Of 11 data-free methods, shared out uniformly or globally, bare or with "weights", the best on held-out training
# images of CIFAR-10: 85.4, 57.2 and 88.2 % for ResNet-20 at 80 and 70 % of its MACs and ResNet-32 at 80 %, where
# uniform l1-norm leaves 74.0, 48.8 and 65.2 %. "weights" mixes filters across ReLUs and costs accuracy there.
DATA_FREE = ("fp-backward", "global", "none")


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
    """The parts of a run, chosen and checked: each is an object by now."""

    config: PruneConfig
    method: methods.Method
    allocation: Allocation
    repair: Repair
    target: Target | None
    data: Loader | None = None
    holdout: Sequence[Batch] | None = None
    metric: Metric | None = None
    progress: Progress | None = None
    exports: Exports = field(default_factory=Exports, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        config: PruneConfig,
        data: Loader | None = None,
        holdout: Loader | None = None,
        progress: Progress | None = None,
    ) -> Recipe:
        """Fill in what was not said, and refuse what cannot go together.

        Where accuracy may drop by so much, a part of the data is held out to measure it; see `held_out`.

        Raises:
            InputError: An unknown name, or data missing.
        """
        target = check_config(config)
        method, allocation, repair = chosen(config, data is not None)
        if target is None and isinstance(config.method, str | None) and not method.own_ratio:
            raise no_target(config.method)  # which would be found out after the ranking, too
        methods.check_data(method, data is not None)
        allocations.check(allocation, data)
        repairs.check(repair, data)
        if config.recalibrate and data is None:
            raise InputError(
                "data: recalibration estimates statistics from data and got none; give some training data."
            )
        held: Loader | None = None if data is None else Calibration(data, config.calibrate)
        aside: Sequence[Batch] | None
        if isinstance(target, AccuracyDrop):
            held, aside = held_out(held, target.value, config.calibrate, holdout)
        elif config.target is None and holdout is not None:
            raise InputError("holdout is for accuracy_drop; leave it out, or give that.")
        else:
            aside = None if holdout is None else list(batches(holdout, 64, limit=config.calibrate))
        return cls(
            config,
            method,
            allocations.get(allocation),
            repairs.get(repair),
            target,
            held,
            aside,
            metric_of(config.metric),
            progress,
        )

    def ranked(self, graph: Graph, clock: Clock) -> tuple[Ranking, Allocation]:
        """Orders of all free groups, and the allocation with what it needs to know."""
        if isinstance(self.allocation, allocations.Search):
            return self._ranking(graph, clock), self.allocated()
        measured = isinstance(self.allocation, allocations.Sensitivity) and self.allocation.needs_data
        if measured and self.method.surveys:  # one survey gives both
            with clock("observe"):
                found = self._survey(graph)
            with clock("rank"):
                return rank(graph, self.method, found.orders, seed=self.seed), found.sensitivity()
        ranking = self._ranking(graph, clock)
        if not measured:
            return ranking, self.allocation
        with clock("observe"):
            found = self._survey(graph, orders=ranking.orders)
        return ranking, found.sensitivity()

    def allocated(self, curves: Mapping[str, Curve] | None = None) -> Allocation:
        """The allocation with what it needs to know: the data of a search, or damage that was measured before."""
        if isinstance(self.allocation, allocations.Search):
            search = replace(self.allocation, **(self.method.search or {}))
            if self.allocation == allocations.Search():
                fit = self.method.procedure.coefficients
                search = replace(search, repair=repairs.scored_as(self.repair), coefficients=fit)
            return search.on(self.holdout if self.holdout is not None else self.data, self.progress)
        if curves and isinstance(self.allocation, allocations.Sensitivity):
            return replace(self.allocation, curves=curves)
        return self.allocation

    @property
    def frame(self) -> bool:
        """Whether channels leave between 1x1 convolutions only: as asked, or as the method's paper does."""
        asked = self.config.frame
        return self.method.procedure.frame if asked is None else asked

    @property
    def seed(self) -> int:
        """The seed as Python's own number."""
        return int(self.config.seed)

    def _survey(self, graph: Graph, **more: Any) -> Survey:
        return survey(
            graph.model,
            graph,
            self.data,
            limit=self.config.calibrate,
            effort=self.config.effort,
            seed=self.seed,
            progress=self.progress,
            exports=self.exports,
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
        return look(graph, self.data, self.method, self.config.calibrate, self.progress)

    def attempt(self, ranking: Ranking, allocation: Allocation, example: Example) -> Attempt:
        """What the target may look at: candidates are finished as the result will be."""
        config, graph = self.config, ranking.graph

        def finished(made: Plan) -> nn.Module:
            small = remove(graph.model, made.cuts())
            mixes = attempt.mixes(made)
            small, made, _ = self.repaired(graph.model, small, graph, made, Clock(), mixes, ranking)
            return finish(small, made)

        bounds = bounds_for(self.target, ranking, config.round_to, config.layers)
        attempt = Attempt(ranking, allocation, bounds, example, self.holdout, self.metric, finished)
        return attempt

    def repaired(
        self,
        model: nn.Module,
        small: nn.Module,
        graph: Graph,
        made: Plan,
        clock: Clock,
        mixes: Mapping[str, Tensor],
        ranking: Ranking,
    ) -> tuple[nn.Module, Plan, tuple[str, ...]]:
        """The smaller network repaired, the plan with the biases that were added, and what there is to remark.

        `mixes` is how units stand in as a search has found (`Attempt.mixes`). Repairs run a copy; what comes back is
        made from the original once more and has run nothing.
        """
        config = self.config
        remarks: tuple[str, ...] = ()
        idle = repairs.name_of(self.repair) == "none"
        if idle and not config.recalibrate:
            return small, made, remarks
        whole, made, work = made, made.cuts(), copy_model(small)
        if not idle:
            with clock("compensate"):
                removal = repairs.Removal(
                    graph.model,
                    graph,
                    made,
                    self.data,
                    config.calibrate,
                    self.seed,
                    self.progress,
                    self.exports,
                    self._combination(graph, mixes),
                    ranking,
                    config.effort,
                )
                remarks = repairs.repair_(self.repair, work, removal).remarks
            made = made.with_added(added_biases(graph.model, work))
        if config.recalibrate:
            with clock("recalibrate"):
                recalibrate_(work, self.data, limit=config.calibrate, progress=self.progress)
        repaired = remove(model, made)
        take_weights_(repaired, work)
        return repaired, made.ended_as(whole), remarks

    def _combination(self, graph: Graph, mixes: Mapping[str, Tensor]) -> Combination:
        """How kept units stand in for others by the weights: as the method's paper or a search has it."""
        published = self.method.procedure.coefficients == "published"
        find = select.published_omp_coefficients if published else select.coefficients_of_gram
        return Combination(graph, find=find).given(mixes)


def chosen(config: PruneConfig, with_data: bool) -> tuple[methods.Method, str | Allocation, str | Repair]:
    """The method, the allocation and the repair, by name where they were not said."""
    usual = WITH_DATA if with_data else DATA_FREE
    given = config.method if config.method is not None else usual[0]
    method = methods.get(given)
    if config.method is not None:
        usual = (method.name, "uniform", method.procedure.repair)
    if method.search is not None:
        usual = (method.name, "search", "weights")
    allocation = config.allocate if config.allocate is not None else usual[1]
    return method, allocation, config.compensate if config.compensate is not None else usual[2]


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
