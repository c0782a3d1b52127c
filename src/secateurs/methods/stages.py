"""Compositions of represent, measure and select: each turns one group into its order of removal.

Where several layers produce the channels of a group (a shortcut, a depthwise filter's expansion), their scores
are added up: units leave all of them at once. All stages are frozen values, equal to others of the same settings.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor

from secateurs import select
from secateurs.checks import shown
from secateurs.contracts import GroupWeights, LayerInput, Measure, Order, Represent, Select
from secateurs.errors import InputError
from secateurs.measure import MapMean, l2_norm
from secateurs.represent import Contributions, FeatureMaps, Filters


@dataclass(frozen=True)
class Part:
    """A function with some keyword arguments set, like `functools.partial`, but comparable and hashable.

    A setting that is `Scores`, `Seed` or `UpTo` is found when a group is there: see `on`.
    """

    function: Callable[..., Any]
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self, *given: Any) -> Any:
        """Call the function with the settings."""
        return self.function(*given, **dict(self.settings))

    def on(self, group: GroupWeights) -> Part:
        """The same with those settings filled in that depend on the group."""
        found = [(k, v.of(group) if isinstance(v, (Scores, Seed, UpTo)) else v) for k, v in self.settings]
        return replace(self, settings=tuple(found))


def part(function: Callable[..., Any], **settings: Any) -> Part:
    """Set keyword arguments of a representation, a measure or a selection.

    Args:
        function: A representation, a measure or a selection.
        settings: Some of its keyword arguments; `Scores`, `Seed` and `UpTo` are found group by group.

    Returns:
        A value that is called like the function.

    Example:
        >>> part(select.omp, faithful=True) == part(select.omp, faithful=True)
        True
    """
    return Part(function, tuple(settings.items()))


@dataclass(frozen=True)
class Scores:
    """Scores of a group, summed over its layers; None where the representation finds no layer.

    Example:
        >>> from secateurs import measure
        >>> from secateurs.represent import ConsumerWeights
        >>> part(select.lrf, outgoing=Scores(ConsumerWeights(), measure.gram)).settings[0][0]
        'outgoing'
    """

    represent: Represent
    measure: Measure

    def of(self, group: GroupWeights) -> Any:
        """Worth (n,), likeness (n, n), or whatever else the measure makes."""
        found = [on(self.measure, group)(rows) for rows in self.represent(group)]
        return total(found) if found else None


@dataclass(frozen=True)
class Seed:
    """The random seed of a group: different for every group, the same in every run of one seed."""

    def of(self, group: GroupWeights) -> int:
        """The group's seed."""
        return group.seed


@dataclass(frozen=True)
class UpTo:
    """A number of filters of a group, at most all of them: one for every group, or one for each in order.

    Groups that come after the last of several numbers have None.

    Example:
        >>> UpTo((12, 6, 21), "columns").values
        (12, 6, 21)
    """

    values: int | tuple[int, ...] | None
    name: str

    def of(self, group: GroupWeights) -> int | None:
        """The group's number, or what is left of it where filters have left before.

        Raises:
            InputError: It is below 1 or above the number of filters, or there are more numbers than groups.
        """
        place, values = group.place, self.values
        if isinstance(values, tuple) and len(values) > place.count:
            raise InputError(
                f"{self.name} has {len(values)} numbers, and the network {place.count} groups to rank; give at most "
                "one for each."
            )
        if isinstance(values, tuple):
            values = values[place.number] if place.number < len(values) else None
        if values is None:
            return None
        if not 1 <= values <= place.size:
            raise InputError(
                f"{self.name} is {values}; give 1 to {place.size}, the number of filters of the group"
            )
        return min(values, len(group.producers[0]))


@dataclass(frozen=True)
class Composition:
    """A ranking by weights: represent every layer, measure, sum over the layers, select.

    Example:
        >>> from secateurs import measure, represent
        >>> Composition(represent.Filters(), measure.l1_norm, select.by_worth).statistic is None
        True
    """

    represent: Represent
    measure: Measure
    select: Select
    statistic: ClassVar[str | None] = None

    def __call__(self, group: GroupWeights) -> Order:
        """Cost: that of the measure, once a layer, and of the selection."""
        score = Scores(self.represent, self.measure).of(group)
        if score is None:
            raise InputError("a group without filters cannot be ranked")
        order: Order = on(self.select, group)(score)
        return order


@dataclass(frozen=True)
class FromData:
    """A ranking by data: represent and measure every batch, select by the mean.

    `look` is called on every batch at every layer that reads a group, and what it makes is added up
    (`observe.glances`). A group at which no layer can be looked at so is ranked by the lengths of its
    filters, and a note in its order says that.

    Example:
        >>> from secateurs import measure
        >>> FromData(FeatureMaps(), measure.rank_sum, select.by_worth).statistic
        'feature maps'
    """

    represent: FeatureMaps | Contributions
    measure: Callable[..., MapMean]
    select: Select

    @property
    def statistic(self) -> str:
        """What it needs to have seen of every group."""
        return self.represent.statistic

    def look(self, seen: LayerInput) -> MapMean | None:
        """The measure of one batch, None where it does not apply."""
        given = self.represent(seen)
        return None if given is None else self.measure(*given)

    def __call__(self, group: GroupWeights) -> Order:
        """Cost: that of the selection."""
        mean = group.statistic
        if mean is None:
            notes = {"ranked by": "l2-norm", "because": f"no layer shows {self.statistic} of this group"}
            return replace(Composition(Filters(), l2_norm, select.by_worth)(group), notes=notes)
        n = len(group.producers[0])
        if not isinstance(mean, Tensor) or mean.shape not in ((n,), (n, n)):
            raise InputError(
                f"stats: what was seen of a group of {n} units is {shown(mean)}; give what "
                "secateurs.observe returns for this method."
            )
        order: Order = on(self.select, group)(mean)
        return order


@dataclass(frozen=True)
class FromSurvey:
    """The order of removal that `survey` has found from the consumers' second moments."""

    statistic: ClassVar[str] = "second moments of the consumers"

    def __call__(self, group: GroupWeights) -> Order:
        """Cost: none."""
        if not isinstance(group.statistic, Order):
            raise InputError(
                "moments: the orders of a survey are missing; call survey(...) and hand on its orders."
            )
        return group.statistic


Ranks = Callable[[GroupWeights], Order]


def on(stage: Callable[..., Any], group: GroupWeights) -> Callable[..., Any]:
    """Fill in those settings of a stage that depend on the group.

    Example:
        >>> on(select.by_worth, None) is select.by_worth
        True
    """
    return stage.on(group) if isinstance(stage, Part) else stage


def total(scores: Iterable[Any]) -> Any:
    """Sum of the scores of several layers.

    Args:
        scores: At least one; tensors of the same shape, or anything that can be added.

    Returns:
        Their sum.

    Example:
        >>> total([torch.ones(2), torch.ones(2)])
        tensor([2., 2.])
    """
    listed = list(scores)
    if len(listed) > 1 and isinstance(listed[0], Tensor):
        return torch.stack(listed).sum(dim=0)
    return reduce(operator.add, listed)
