"""observe(): one look at a little data, for whatever methods and allocations are to be tried afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from secateurs import methods as published
from secateurs.allocate import Sensitivity
from secateurs.checks import check_effort, check_flag, check_kind, check_model, check_seed, check_whole
from secateurs.contracts import Loader, Progress
from secateurs.data.calibration import Calibration
from secateurs.effort import Effort
from secateurs.errors import InputError
from secateurs.graph import Graph
from secateurs.methods import Method
from secateurs.running.together import by_first
from secateurs.statistics.glances import glances
from secateurs.survey import Survey, survey


@dataclass(frozen=True, eq=False)
class Observed:
    """What a look at the data has left: for each method what it needs of every group, and measured damage.

    Attributes:
        seen: By the name of a method, and there by the name of a group, the statistic that the method needs.
        survey: Orders by second moments and damage curves, where they were asked for.
    """

    seen: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    survey: Survey | None = None

    def of(self, method: Method) -> Mapping[str, Any] | None:
        """What a method needs of every group; None for a method that needs nothing.

        Raises:
            InputError: The look was not for this method.
        """
        if method.statistic is None:
            return None
        if method.surveys and self.survey is not None:
            return self.survey.orders
        if method.name not in self.seen:
            names = sorted([*self.seen, *(["moments"] if self.survey is not None else [])])
            raise InputError(
                f"stats: were observed for {', '.join(names) or 'no method'}, not for '{method.name}'; give it to "
                "secateurs.observe among its methods."
            )
        return self.seen[method.name]

    def sensitivity(self, blend: float = 0.0) -> Sensitivity:
        """The allocation of the measured damage; see `Sensitivity`.

        Raises:
            InputError: No damage was measured.
        """
        if self.survey is None or not self.survey.curves:
            raise InputError("stats: no damage was measured; observe with damage=True.")
        return self.survey.sensitivity(blend)


def observe(
    model: nn.Module,
    graph: Graph,
    data: Loader,
    methods: str | Method | Callable[..., Any] | Sequence[Any] = "moments",
    *,
    damage: bool = True,
    limit: int = 2048,
    effort: Effort = "default",
    seed: int = 0,
    processes: bool = False,
    progress: Progress | None = None,
) -> Observed:
    """Look at a little unlabelled data once, for the methods and allocations that are to be tried afterwards.

    The samples are read once and held; each method that looks at feature maps takes one forward pass over them, and
    the second moments with the damage one more.

    Args:
        model: The network that the graph was traced from.
        graph: From `trace(model, example)`.
        data: Samples; whatever `prune` takes.
        methods: One method or several, as `rank` takes them; those that need no data cost nothing.
        damage: Whether to measure what losing units does to the outputs, for the allocation `sensitivity`; by the
            orders of `moments`.
        limit: At most so many samples are used.
        effort: How well the damage is to be known; see `survey`.
        seed: Of the output positions that the moments use.
        processes: Whether all processes of `torch.distributed` call this with the same network and the same data. Each
            then looks at its part of the batches for every method that looks at feature maps; the sums, by all-reduce,
            are those of one process up to rounding. Second moments and damage are found by the first process alone,
            which stops as soon as it knows enough, and given to the others: they are those of one process, bit by bit.
            So all processes get the same.
        progress: Told of long stages.

    Returns:
        What `rank` takes as `stats`; its `sensitivity()` is an allocation.

    Raises:
        InputError: No data, an unknown method, or an argument of the wrong kind.

    Cost:
        One forward pass over `limit` samples for each method that looks at data; for the damage see `survey`.

    Example:
        >>> import torch
        >>> from secateurs import plan, rank, trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
        >>> graph = trace(net, torch.zeros(1, 2))
        >>> stats = observe(net, graph, torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))
        >>> made = plan(rank(graph, "moments", stats), macs=0.5, allocate=stats.sensitivity())
        >>> len(made.kept["0"]) < 4
        True
    """
    check_model(model)
    check_kind("graph", graph, Graph, "what secateurs.trace(model, example) returns")
    if _shapes(model) != _shapes(graph.original):
        raise InputError("model: is not the network that the graph was traced from; trace it anew.")
    check_flag("damage", damage)
    check_flag("processes", processes)
    check_whole("limit", limit)
    check_seed(seed)
    check_effort("effort", effort)
    several: list[Any] = list(methods) if isinstance(methods, (list, tuple)) else [methods]
    chosen = [published.get(one) for one in several]
    held = Calibration(data, limit)
    surveyed = None
    if damage or any(one.surveys for one in chosen):
        more: dict[str, Any] = {"effort": effort} if damage else {"levels": ()}
        more.update(limit=limit, seed=seed, progress=progress)

        def by_moments() -> Survey:
            return survey(graph.model, graph, held, **more)

        surveyed = by_first(by_moments) if processes else by_moments()
    looking = [one for one in chosen if one.look is not None]
    seen = {one.name: look(graph, held, one, limit, progress, processes) for one in looking}
    return Observed(seen, surveyed)


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def look(
    graph: Graph,
    data: Loader,
    method: Method,
    limit: int,
    progress: Progress | None = None,
    processes: bool = False,
) -> Mapping[str, Any]:
    """What a method that looks at feature maps needs of every group; with `processes` as `observe` has it.

    Raises:
        InputError: The method looks at no feature maps.
    """
    if method.look is None:
        raise InputError(f"method: '{method.name}' looks at no feature maps.")
    return glances(
        graph.model,
        graph.free,
        data,
        method.look,
        gradients=method.gradients,
        limit=limit,
        processes=processes,
        progress=progress,
    )
